# Only a file with the suffix gets the instruction set; never -march=native.
# Elsewhere the file is not compiled and the reference serves.
function(ndl_isa suffix)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*_${suffix}.c)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${sources} PROPERTIES
      COMPILE_OPTIONS "${ARGN}")
  else()
    set_source_files_properties(${sources} PROPERTIES HEADER_FILE_ONLY ON)
  endif()
endfunction()

ndl_isa(avx2 -mavx2 -mfma -mf16c)
ndl_isa(avx512 -mavx2 -mfma -mavx512f)
ndl_isa(avx512bf16 -mavx2 -mfma -mavx512f -mavx512bw -mavx512bf16)
ndl_isa(avx512vnni -mavx2 -mfma -mavx512f -mavx512bw -mavx512vnni)
