/* The replay as a loop over plain arrays, where every (namespace, blob) already has its number: how fast the machine
 * does the bare work. No links, tags, locks, causes or totals: for each event the namespace's limit, its charge, and
 * what the registry holds and stores.
 */
#include <stdint.h>

enum { AHEAD = 4 };

/* Replays `events`; returns how many were refused.
 *
 * event_manifest[events], is_delete[events]
 * indptr[M + 1]     manifest m names target[indptr[m]] up to target[indptr[m + 1] - 1], pair[] beside them
 * own_size[M], blob_size[B], limit[N], namespace[M]
 * count[P], holders[B], on_disk[B], live[M], manifest_on_disk[M], used[N]: zero; written
 * refused, charged, unique, stored [events]: written
 */
int64_t replay(int64_t events, const int32_t *restrict event_manifest, const uint8_t *restrict is_delete,
               const int64_t *restrict indptr, const int32_t *restrict target, const int32_t *restrict pair,
               const int64_t *restrict own_size, const int64_t *restrict blob_size, const int32_t *restrict namespace,
               const int64_t *restrict limit, int32_t *restrict count, int32_t *restrict holders,
               uint8_t *restrict on_disk, uint8_t *restrict live, uint8_t *restrict manifest_on_disk,
               int64_t *restrict used, uint8_t *restrict refused, int64_t *restrict charged,
               int64_t *restrict unique, int64_t *restrict stored)
{
    int64_t refusals = 0;
    for (int64_t i = 0; i < events; i++) {
        if (i + 3 * AHEAD < events) {
            int32_t m = event_manifest[i + 3 * AHEAD];
            __builtin_prefetch(&indptr[m]);
            __builtin_prefetch(&live[m]);
            __builtin_prefetch(&own_size[m]);
            __builtin_prefetch(&namespace[m]);
        }
        if (i + 2 * AHEAD < events) {
            int32_t m = event_manifest[i + 2 * AHEAD];
            for (int64_t e = indptr[m]; e < indptr[m + 1] + 15; e += 16) {
                __builtin_prefetch(&target[e]);
                __builtin_prefetch(&pair[e]);
            }
        }
        if (i + AHEAD < events) {
            int32_t m = event_manifest[i + AHEAD];
            for (int64_t e = indptr[m]; e < indptr[m + 1]; e++) {
                __builtin_prefetch(&count[pair[e]], 1);
                __builtin_prefetch(&holders[target[e]], 1);
                __builtin_prefetch(&blob_size[target[e]]);
            }
        }
        int32_t m = event_manifest[i], scope = namespace[m];
        int64_t first = indptr[m], last = indptr[m + 1];
        refused[i] = 0;
        charged[i] = unique[i] = stored[i] = 0;
        if (live[m] != is_delete[i])
            continue; /* there already, or never there */
        if (is_delete[i]) {
            int64_t freed = own_size[m], last_held = own_size[m];
            for (int64_t e = first; e < last; e++) {
                int64_t size = blob_size[target[e]];
                freed += --count[pair[e]] == 0 ? size : 0;
                last_held += --holders[target[e]] == 0 ? size : 0;
            }
            live[m] = 0;
            used[scope] -= freed;
            charged[i] = -freed;
            unique[i] = -last_held;
            continue;
        }
        int64_t needed = own_size[m];
        for (int64_t e = first; e < last; e++)
            needed += count[pair[e]] == 0 ? blob_size[target[e]] : 0;
        if (used[scope] + needed > limit[scope]) {
            refused[i] = 1;
            refusals++;
            continue;
        }
        int64_t first_held = own_size[m], first_stored = manifest_on_disk[m] ? 0 : own_size[m];
        manifest_on_disk[m] = live[m] = 1;
        for (int64_t e = first; e < last; e++) {
            int32_t blob = target[e];
            count[pair[e]]++;
            if (holders[blob]++ == 0) {
                first_held += blob_size[blob];
                if (!on_disk[blob]) {
                    on_disk[blob] = 1;
                    first_stored += blob_size[blob];
                }
            }
        }
        used[scope] += needed;
        charged[i] = needed;
        unique[i] = first_held;
        stored[i] = first_stored;
    }
    return refusals;
}
