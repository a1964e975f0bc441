# The libraries of Debian 12 that we stand on, each behind one target.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 REQUIRED COMPONENTS C)

add_library(hdf5_lib INTERFACE)
target_include_directories(hdf5_lib SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(hdf5_lib INTERFACE ${HDF5_C_LIBRARIES})

foreach(pair jansson:jansson xxhash:libxxhash pcre2:libpcre2-8
        utf8proc:libutf8proc hwloc:hwloc yaml:yaml-0.1)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 package)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${package})
  add_library(${name}_lib INTERFACE)
  target_link_libraries(${name}_lib INTERFACE PkgConfig::${name})
endforeach()
