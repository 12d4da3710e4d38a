/* SPDX-License-Identifier: Apache-2.0
 *
 * The first bytes of an object's record as flash delivers them: taken or
 * refused; what was taken can be adopted, and opens.
 */
#include <stdlib.h>
#include <string.h>

#include "serve/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool                is_inline, apart;
    size_t              head_bytes;
    uint64_t            version;
    uint32_t            payload;
    s3c_ident_t         ident;
    s3c_stored_now_t    now = { 1ull << 40, 1800000000 };
    s3c_record_sh_t    *rec;
    s3c_record_view_t   view;

    if (size < sizeof(*rec) + 1) {
        return 0;
    }

    rec = malloc(size);
    memcpy(rec, data, size);

    if (data[size - 1] & 1) {
        rec->magic = S3C_RECORD_MAGIC;
        s3c_record_seal(rec);
    }

    apart = (data[size - 1] & 2) != 0;
    payload = (rec->flags & S3C_RECORD_INLINE) && rec->total < 1000
              ? (uint32_t) (sizeof(*rec) + rec->ident_bytes
                            + rec->headers_bytes + rec->total)
              : (uint32_t) size;

    if (s3c_stored_peek(rec, size, payload, &head_bytes, &version, &is_inline)
        == S3C_OK
        && head_bytes <= size)
    {
        s3c_stored_adopt(rec, s3c_stored_unpack(version), now, apart);

        ident.len = rec->ident_bytes;
        memcpy(ident.bytes, (uint8_t *) rec + sizeof(*rec), ident.len);

        if (s3c_record_open(rec, head_bytes,
                            apart && is_inline ? head_bytes : payload, &ident,
                            &view)
            != S3C_OK)
        {
            abort();
        }
    }

    free(rec);

    return 0;
}
