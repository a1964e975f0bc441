# Compiler flags for everything we compile: warnings, and arithmetic that no
# compiler may rearrange (-ffp-contract=off: decision 1, same bits).
add_library(ndl_flags INTERFACE)
target_compile_options(ndl_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -ffp-contract=off -fno-math-errno -fno-common
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(NDL_WERROR)
  target_compile_options(ndl_flags INTERFACE -Werror)
endif()
if(NDL_SANITIZE)
  target_compile_options(ndl_flags INTERFACE
    -fsanitize=${NDL_SANITIZE} -fno-omit-frame-pointer -g
    -fno-sanitize-recover=all)
  target_link_options(ndl_flags INTERFACE -fsanitize=${NDL_SANITIZE})
endif()
if(NDL_SANITIZE MATCHES "address")
  # In every program, so that leaks of Open MPI's plugins keep their names.
  add_library(ndl_keep_plugins OBJECT
              ${CMAKE_SOURCE_DIR}/tests/support/keep_plugins.c)
  target_link_libraries(ndl_flags INTERFACE $<TARGET_OBJECTS:ndl_keep_plugins>)
endif()
