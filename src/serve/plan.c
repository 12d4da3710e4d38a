/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure decisions about a found record: RFC 9111 4.2 freshness with the
 * extensions of RFC 5861, then RFC 9110 13.2.2: preconditions before range.
 */
#include "serve/plan.h"


s3c_use_t
s3c_plan_use(const s3c_fresh_rules_t *rules, const s3c_record_view_t *view,
    uint64_t now_ms, bool no_cache, bool needs_full)
{
    uint64_t  expires;

    expires = atomic_load_explicit(&view->rec->expires_ms,
                                   memory_order_relaxed);

    if (view->flags & S3C_RECORD_ERROR) {
        /* an error is asked again, never revalidated */
        return (now_ms < expires && rules->mode != S3C_FRESHNESS_STRICT
                && !(no_cache && rules->client_revalidates))
               ? S3C_USE_FRESH : S3C_REFETCH;
    }

    if (needs_full && !(view->flags & S3C_RECORD_FULL)) {
        return S3C_REVALIDATE_FIRST;
    }

    if (rules->mode == S3C_FRESHNESS_STRICT
        || (no_cache && rules->client_revalidates))
    {
        return S3C_REVALIDATE_FIRST;
    }

    if (rules->mode == S3C_FRESHNESS_IMMUTABLE || now_ms < expires) {
        return S3C_USE_FRESH;
    }

    return now_ms - expires < rules->while_revalidate_ms
           ? S3C_USE_AND_REVALIDATE : S3C_REVALIDATE_FIRST;
}


bool
s3c_plan_stale_on_error(const s3c_fresh_rules_t *rules,
    const s3c_record_view_t *view, uint64_t now_ms)
{
    uint64_t  expires;

    expires = atomic_load_explicit(&view->rec->expires_ms,
                                   memory_order_relaxed);

    if (view->flags & S3C_RECORD_ERROR) {
        return false;
    }

    return now_ms < expires ? rules->if_error_ms > 0
                            : now_ms - expires < rules->if_error_ms;
}


uint64_t
s3c_plan_age(const s3c_record_view_t *view, uint64_t now_ms)
{
    uint64_t  at;

    at = atomic_load_explicit(&view->rec->validated_ms, memory_order_relaxed);

    return now_ms > at ? (now_ms - at) / 1000 : 0;
}


static void
reply_error(s3c_reply_t *reply, s3c_s3_error_t error)
{
    reply->error = error;
    reply->status = s3c_s3_error_status(error);
    reply->first = 1;
    reply->last = 0;
    reply->checksums = false;
    reply->stored_body = false;
}


void
s3c_plan_reply(const s3c_ask_t *ask, const s3c_record_view_t *view,
    s3c_reply_t *reply)
{
    s3c_range_spec_t  range;

    *reply = (s3c_reply_t) {
        .status = view->status,
        .first = view->total > 0 ? 0 : 1,
        .last = view->total > 0 ? view->total - 1 : 0,
        .checksums = ask->checksum_mode,
        .stored_body = true,
    };

    if (view->flags & S3C_RECORD_ERROR) {
        return;
    }

    switch (s3c_http_precond_check(&ask->cond, view->etag,
                                   view->last_modified))
    {
    case S3C_PRECOND_PASS:
        break;

    case S3C_PRECOND_NOT_MODIFIED:
        reply->status = 304;
        reply->first = 1;
        reply->last = 0;
        reply->checksums = false;
        reply->stored_body = false;
        return;

    case S3C_PRECOND_FAILED_MATCH:
        reply_error(reply, S3C_ERR_PRECONDITION_FAILED);
        reply->condition = "If-Match";
        return;

    case S3C_PRECOND_FAILED_UNMODIFIED_SINCE:
        reply_error(reply, S3C_ERR_PRECONDITION_FAILED);
        reply->condition = "If-Unmodified-Since";
        return;
    }

    range = ask->range;

    if (!s3c_http_if_range_passes(ask->cond.if_range, view->etag,
                                  view->last_modified))
    {
        range.kind = S3C_RANGE_NONE;
    }

    switch (s3c_http_range_resolve(&range, view->total, &reply->first,
                                   &reply->last))
    {
    case S3C_RANGE_WHOLE:
        reply->status = 200;
        reply->first = view->total > 0 ? 0 : 1;
        reply->last = view->total > 0 ? view->total - 1 : 0;
        return;

    case S3C_RANGE_PART:
        reply->status = 206;
        /* a ranged answer never shows the checksum of the whole: SDKs hash
           what they receive and fail (botocore handle_checksum_body) */
        reply->checksums = false;
        return;

    case S3C_RANGE_UNSATISFIABLE:
        reply_error(reply, S3C_ERR_INVALID_RANGE);
        return;
    }
}
