/* utf8.h - bytes to code points and back; every reader is strict. */
#ifndef NOODLE_TEXT_UTF8_H
#define NOODLE_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Read the character at the start of `n` bytes.
 * @param[out] cp  set only if the result is positive; may be NULL.
 * @return its length, 1 to 4; 0 if the bytes are the beginning of a character
 *         (also for n = 0); -k if the first k bytes can never be one (the
 *         longest piece that could still have become a character, as Unicode
 *         advises for U+FFFD).
 */
int ndl_utf8_decode(const uint8_t *s, size_t n, uint32_t *cp);

/** Offset of the first byte that is not UTF-8; `n` if all are. */
size_t ndl_utf8_check(const uint8_t *s, size_t n);

/** Write a code point <= U+10FFFF.  @return bytes, 1 to 4. */
int ndl_utf8_encode(uint32_t cp, uint8_t out[4]);

/** Length of the valid character that ends at s + n, n > 0. */
int ndl_utf8_last(const uint8_t *s, size_t n, uint32_t *cp);

/** White_Space, and what regular expressions call a word character. */
bool ndl_utf8_is_space(uint32_t cp);
bool ndl_utf8_is_word(uint32_t cp);

#endif /* NOODLE_TEXT_UTF8_H */
