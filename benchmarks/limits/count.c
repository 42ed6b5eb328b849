/* Adds one to count[] at each index: the rate at which the machine reads and writes at random. */
#include <stdint.h>

void count(int64_t size, const int32_t *restrict index, int32_t *restrict count)
{
    for (int64_t i = 0; i < size; i++)
        count[index[i]]++;
}
