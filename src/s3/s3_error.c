/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of S3 errors and the XML body made of it. Every client byte that
 * enters the body (key, bucket, range...) passes error_write_text().
 */
#include "s3/s3_error.h"

#include "s3/s3_utf8.h"


typedef struct {
    unsigned     status;
    const char  *code;
    const char  *message;
} error_row_t;

static const error_row_t  error_table[S3C_ERR_N] = {

    [S3C_ERR_NONE] = { 200, "", "" },

    [S3C_ERR_ACCESS_DENIED] = { 403, "AccessDenied", "Access Denied" },

    [S3C_ERR_AUTH_HEADER_MALFORMED] = { 400, "AuthorizationHeaderMalformed",
        "The authorization header that you provided is not valid." },

    [S3C_ERR_AUTH_QUERY_PARAMETERS] = { 400,
        "AuthorizationQueryParametersError",
        "The authorization query parameters that you provided are not valid."
    },

    [S3C_ERR_BAD_DIGEST] = { 400, "BadDigest",
        "The checksum you specified did not match what we received." },

    [S3C_ERR_BAD_GATEWAY] = { 502, "BadGateway",
        "The origin could not be reached or gave an answer that cannot be "
        "used." },

    [S3C_ERR_EXPIRED_TOKEN] = { 400, "ExpiredToken",
        "The provided token has expired." },

    [S3C_ERR_INCOMPLETE_BODY] = { 400, "IncompleteBody",
        "You did not provide the number of bytes specified by the "
        "Content-Length HTTP header" },

    [S3C_ERR_INTERNAL_ERROR] = { 500, "InternalError",
        "We encountered an internal error. Please try again." },

    [S3C_ERR_INVALID_ACCESS_KEY_ID] = { 403, "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records." },

    [S3C_ERR_INVALID_ARGUMENT] = { 400, "InvalidArgument",
        "Invalid Argument" },

    [S3C_ERR_INVALID_BUCKET_NAME] = { 400, "InvalidBucketName",
        "The specified bucket is not valid." },

    [S3C_ERR_INVALID_PART_NUMBER] = { 416, "InvalidPartNumber",
        "The requested partnumber is not satisfiable" },

    [S3C_ERR_INVALID_RANGE] = { 416, "InvalidRange",
        "The requested range is not satisfiable" },

    [S3C_ERR_INVALID_REQUEST] = { 400, "InvalidRequest", "Invalid Request" },

    [S3C_ERR_INVALID_TOKEN] = { 400, "InvalidToken",
        "The provided token is malformed or otherwise invalid." },

    [S3C_ERR_INVALID_URI] = { 400, "InvalidURI",
        "Couldn't parse the specified URI." },

    [S3C_ERR_KEY_TOO_LONG] = { 400, "KeyTooLongError",
        "Your key is too long" },

    [S3C_ERR_METHOD_NOT_ALLOWED] = { 405, "MethodNotAllowed",
        "The specified method is not allowed against this resource." },

    [S3C_ERR_MISSING_CONTENT_LENGTH] = { 411, "MissingContentLength",
        "You must provide the Content-Length HTTP header." },

    [S3C_ERR_NO_SUCH_BUCKET] = { 404, "NoSuchBucket",
        "The specified bucket does not exist" },

    [S3C_ERR_NO_SUCH_KEY] = { 404, "NoSuchKey",
        "The specified key does not exist." },

    [S3C_ERR_NOT_IMPLEMENTED] = { 501, "NotImplemented",
        "A header you provided implies functionality that is not "
        "implemented" },

    [S3C_ERR_PRECONDITION_FAILED] = { 412, "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold" },

    [S3C_ERR_REQUEST_TIME_TOO_SKEWED] = { 403, "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too "
        "large." },

    [S3C_ERR_SERVICE_UNAVAILABLE] = { 503, "ServiceUnavailable",
        "Service is unable to handle request." },

    [S3C_ERR_SIGNATURE_DOES_NOT_MATCH] = { 403, "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature "
        "you provided. Check your key and signing method." },

    [S3C_ERR_SLOW_DOWN] = { 503, "SlowDown",
        "Please reduce your request rate." },

    [S3C_ERR_UNAUTHORIZED] = { 401, "Unauthorized",
        "A token is needed." },

    [S3C_ERR_GATEWAY_TIMEOUT] = { 504, "GatewayTimeout",
        "The origin did not answer in time." },

    [S3C_ERR_CONTENT_SHA256_MISMATCH] = { 400, "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was "
        "computed." },
};


static const error_row_t *
error_row(s3c_s3_error_t err)
{
    if ((unsigned) err >= S3C_ERR_N) {
        err = S3C_ERR_INTERNAL_ERROR;
    }

    return &error_table[err];
}


unsigned
s3c_s3_error_status(s3c_s3_error_t err)
{
    return error_row(err)->status;
}


const char *
s3c_s3_error_code(s3c_s3_error_t err)
{
    return error_row(err)->code;
}


const char *
s3c_s3_error_message(s3c_s3_error_t err)
{
    return error_row(err)->message;
}


/* Char of XML 1.0, 2.2. */
static bool
error_is_xml_char(uint32_t cp)
{
    if (cp < 0x20) {
        return cp == '\t' || cp == '\n' || cp == '\r';
    }

    return cp != 0xfffe && cp != 0xffff;
}


static void
error_write_char(s3c_writer_t *w, uint32_t cp, s3c_slice_t bytes)
{
    switch (cp) {
    case '&':   s3c_write_lit(w, "&amp;");         return;
    case '<':   s3c_write_lit(w, "&lt;");          return;
    case '>':   s3c_write_lit(w, "&gt;");          return;
    case '"':   s3c_write_lit(w, "&quot;");        return;
    case '\'':  s3c_write_lit(w, "&apos;");        return;
    case '\r':  s3c_write_lit(w, "&#13;");         return; /* else read LF */
    }

    if (!error_is_xml_char(cp)) {
        s3c_write_lit(w, "\xef\xbf\xbd");          /* U+FFFD */
        return;
    }

    s3c_write_slice(w, bytes);
}


static void
error_write_text(s3c_writer_t *w, s3c_slice_t text)
{
    size_t    n;
    uint32_t  cp;

    for (size_t i = 0; i < text.len; i += n) {
        cp = 0;
        n = s3c_s3_utf8_step(text, i, &cp);

        if (n == 0) {
            n = 1;
            cp = 0;                                /* no XML character */
        }

        error_write_char(w, cp, s3c_slice(text.data + i, n));
    }
}


static void
error_write_element(s3c_writer_t *w, const char *name, s3c_slice_t text)
{
    s3c_write_byte(w, '<');
    s3c_write_str(w, name);
    s3c_write_byte(w, '>');
    error_write_text(w, text);
    s3c_write_lit(w, "</");
    s3c_write_str(w, name);
    s3c_write_byte(w, '>');
}


void
s3c_s3_error_print(s3c_writer_t *w, s3c_s3_error_t err, const char *message,
    const s3c_s3_error_extra_t *extra, unsigned n_extra, s3c_slice_t resource,
    s3c_slice_t request_id, s3c_slice_t host_id)
{
    const char  *code = s3c_s3_error_code(err);

    if (message == NULL) {
        message = s3c_s3_error_message(err);
    }

    s3c_write_lit(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    error_write_element(w, "Code", s3c_slice(code, strlen(code)));
    error_write_element(w, "Message", s3c_slice(message, strlen(message)));

    for (unsigned i = 0; i < n_extra; i++) {
        error_write_element(w, extra[i].name, extra[i].value);
    }

    if (resource.len > 0) {
        error_write_element(w, "Resource", resource);
    }

    error_write_element(w, "RequestId", request_id);
    error_write_element(w, "HostId", host_id);
    s3c_write_lit(w, "</Error>");
}


bool
s3c_s3_error_is_about_keys(s3c_slice_t document)
{
    static const s3c_slice_t  open_tag = {
        (const uint8_t *) "<Code>", 6
    };
    static const char        *codes[] = {
        "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError",
        "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity",
        "InvalidToken", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "TokenRefreshRequired",
        "XAmzContentSHA256Mismatch",
    };

    size_t       len;
    s3c_slice_t  rest = document;

    while (rest.len > open_tag.len
           && memcmp(rest.data, open_tag.data, open_tag.len) != 0)
    {
        rest.data++;
        rest.len--;
    }

    if (rest.len <= open_tag.len) {
        return false;
    }

    rest = s3c_slice(rest.data + open_tag.len, rest.len - open_tag.len);

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        len = strlen(codes[i]);

        if (rest.len > len && memcmp(rest.data, codes[i], len) == 0
            && rest.data[len] == '<')
        {
            return true;
        }
    }

    return false;
}
