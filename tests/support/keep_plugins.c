/*
 * keep_plugins.c - in builds with the address sanitizer only: plugins stay
 * loaded until the process ends.
 *
 * Open MPI unloads its plugins in MPI_Finalize.  What they leaked could then
 * not be told from a leak of ours, since its stack has no names any more, and
 * lsan.supp could not suppress it.
 */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
