/*
 * Stands in for the kernel's randomness while instructions are counted (LD_PRELOAD, see scripts/instructions.py):
 * with the seeds of hash tables the number of collisions would change from run to run. Nothing else uses this.
 */
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
  static unsigned char next = 1;
  (void)flags;
  for (size_t at = 0; at < length; at++) {
    next = (unsigned char)(next * 5 + 3);
    ((unsigned char *)buffer)[at] = next;
  }
  return (ssize_t)length;
}
