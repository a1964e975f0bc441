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

set(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl)
ndl_isa(avx2 -mavx2 -mfma -mf16c)
ndl_isa(avx512 ${avx512})
ndl_isa(avx512vnni ${avx512} -mavx512vnni)
ndl_isa(avx512bf16 ${avx512} -mavx512vnni -mavx512bf16)
