# Only a file with the suffix gets the instruction set; never -march=native.
# Elsewhere the file is not compiled and the reference serves.
file(GLOB avx2 CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*_avx2.c)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${avx2} PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
else()
  set_source_files_properties(${avx2} PROPERTIES HEADER_FILE_ONLY ON)
endif()
