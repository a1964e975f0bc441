/*
 * page_tree.h - what is in which page: an index of contents.
 *
 * A page is the child of the page before it in the text.  The index is a
 * sorted array of (parent, ids): the pages that share the longest beginning
 * with a text stand next to where the text would stand, so that one binary
 * search answers, however many siblings begin alike.  Who uses a page, and
 * which goes when, is not known here.
 */
#ifndef NOODLE_PAGE_TREE_H
#define NOODLE_PAGE_TREE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ndl_page_tree {
    int32_t *ids;    /* (n_pages, NDL_PAGE_POSITIONS)              */
    int *n_ids;      /* (n_pages); 0: not in the tree              */
    int *parent;     /* (n_pages); -1: it begins a text            */
    int *n_children; /* (n_pages)                                  */
    int *order;      /* (n_pages): those in the tree, sorted       */
    int n;           /* of them                                    */
} ndl_page_tree;

/** @return false: out of memory; fini() it all the same. */
bool ndl_page_tree_init(ndl_page_tree *t, int n_pages);
void ndl_page_tree_fini(ndl_page_tree *t);

/** Page `page`, new or known and without children, has these ids now. */
void ndl_page_tree_put(ndl_page_tree *t, int page, int parent,
                       const int32_t *ids, int n);

/** Forget a page, which has no children (asserted). */
void ndl_page_tree_remove(ndl_page_tree *t, int page);

/**
 * The child of `parent` that has the longest beginning in common with ids (n);
 * of two, one that has nothing else in it.
 * @param[out] n_common  how long
 * @return -1: none has its first id.
 */
int ndl_page_tree_find(const ndl_page_tree *t, int parent, const int32_t *ids,
                       int n, int *n_common);

/** A sibling that begins with all that is in `page`; -1: none. */
int ndl_page_tree_twin(const ndl_page_tree *t, int page);

/** A sibling all of which is the beginning of `page`; -1: none. */
int ndl_page_tree_stub(const ndl_page_tree *t, int page);

#endif /* NOODLE_PAGE_TREE_H */
