/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing keys of clients: made once a day, region and access key. A slot
 * holds the secret that its key was made of, so a key does not outlive its
 * secret: another secret of the same access key does not find it.
 */
#include "auth/sigv4_parse.h"

#include "base/digest.h"
#include "base/hash.h"


static s3c_sigv4_key_slot_t *
keys_slot(s3c_sigv4_keys_t *keys, const s3c_sigv4_claim_t *claim)
{
    uint64_t  h;

    h = s3c_hash64(claim->access_key.data, claim->access_key.len);
    h = h * 31 + s3c_hash64(claim->scope.data, claim->scope.len);

    return &keys->slots[(h ^ h >> 32) % S3C_SIGV4_KEYS];
}


static bool
keys_is_of(const s3c_sigv4_key_slot_t *slot, const s3c_sigv4_claim_t *claim,
    s3c_slice_t secret)
{
    return slot->valid
           && memcmp(slot->date8, claim->date, sizeof(slot->date8)) == 0
           && s3c_slice_eq(s3c_slice(slot->access_key, slot->access_key_len),
                           claim->access_key)
           && s3c_slice_eq(s3c_slice(slot->region, slot->region_len),
                           claim->region)
           && slot->secret_len == secret.len
           && s3c_digest_eq(slot->secret, secret.data, secret.len);
}


s3c_status_t
s3c_sigv4_claim_key(const s3c_sigv4_claim_t *claim, s3c_slice_t secret,
    s3c_sigv4_keys_t *keys, uint8_t key[S3C_SHA256_BYTES])
{
    const s3c_sigv4_key_slot_t  *slot;

    if (keys != NULL && secret.len > 0) {
        slot = keys_slot(keys, claim);

        if (keys_is_of(slot, claim, secret)) {
            memcpy(key, slot->key, sizeof(slot->key));
            return S3C_OK;
        }
    }

    return s3c_sigv4_key(secret, s3c_slice(claim->date, 8), claim->region, key);
}


static uint16_t
keys_copy(uint8_t *to, s3c_slice_t from)
{
    if (from.len > 0) {
        memcpy(to, from.data, from.len);
    }

    return (uint16_t) from.len;
}


void
s3c_sigv4_keys_put(s3c_sigv4_keys_t *keys, const s3c_sigv4_claim_t *claim,
    s3c_slice_t secret, const uint8_t key[S3C_SHA256_BYTES])
{
    s3c_sigv4_key_slot_t  *slot;

    if (keys == NULL || claim->access_key.len > sizeof(slot->access_key)
        || claim->region.len > sizeof(slot->region)
        || secret.len > sizeof(slot->secret))
    {
        return;
    }

    slot = keys_slot(keys, claim);

    if (keys_is_of(slot, claim, secret)) {
        return;
    }

    s3c_digest_wipe(slot, sizeof(*slot));
    memcpy(slot->date8, claim->date, sizeof(slot->date8));
    memcpy(slot->key, key, sizeof(slot->key));
    slot->access_key_len = keys_copy(slot->access_key, claim->access_key);
    slot->region_len = keys_copy(slot->region, claim->region);
    slot->secret_len = keys_copy(slot->secret, secret);
    slot->valid = true;
}


void
s3c_sigv4_keys_wipe(s3c_sigv4_keys_t *keys)
{
    s3c_digest_wipe(keys, sizeof(*keys));
}
