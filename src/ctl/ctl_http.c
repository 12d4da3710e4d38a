/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl has a signer of its own (CURLOPT_AWS_SIGV4). It is not used: before
 * 8.3 it neither sorts nor encodes a query, and how it encodes a path differs
 * by version, while keys here are any bytes.
 */
#include "ctl/ctl_http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "auth/sigv4.h"
#include "base/digest.h"
#include "ctl/ctl_table.h"
#include "s3/s3_uri.h"

#define HTTP_URL_MAX    (CTL_HOST_MAX + 3 * (CTL_KEY_MAX + CTL_BUCKET_MAX)    \
                         + CTL_QUERY_MAX + 64)
#define HTTP_VALUE_MAX  8192

struct ctl_http_s {
    CURL                    *curl;
    const ctl_conf_t        *conf;
    volatile sig_atomic_t   *stop;
    char                     error[CURL_ERROR_SIZE];
};

/* What the callbacks share. */
typedef struct {
    ctl_http_t       *http;
    const ctl_ask_t  *ask;
    ctl_answer_t     *answer;
    bool              too_long;
    bool              ended;             /* by who takes it, or by a signal */
} http_turn_t;


ctl_http_t *
ctl_http_create(const ctl_conf_t *conf)
{
    ctl_http_t  *http = ctl_alloc(sizeof(*http));

    memset(http, 0, sizeof(*http));
    http->conf = conf;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK
        || (http->curl = curl_easy_init()) == NULL)
    {
        free(http);
        return NULL;
    }

    return http;
}


void
ctl_http_destroy(ctl_http_t *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        curl_global_cleanup();
        free(http);
    }
}


void
ctl_http_stop(ctl_http_t *http, volatile sig_atomic_t *stop)
{
    http->stop = stop;
}


void
ctl_answer_fini(ctl_answer_t *answer)
{
    free(answer->body);
    answer->body = NULL;
    answer->len = 0;
}


/* --- the answer ----------------------------------------------------------- */

static size_t
http_on_body(char *data, size_t one, size_t n, void *turn_of)
{
    long          status = 0;
    size_t        max;
    http_turn_t  *turn = turn_of;

    (void) one;
    (void) curl_easy_getinfo(turn->http->curl, CURLINFO_RESPONSE_CODE,
                             &status);

    if (turn->ask->take != NULL && status == 200) {
        turn->ended = !turn->ask->take(turn->ask->data, s3c_slice(data, n));
        return turn->ended ? 0 : n;
    }

    max = turn->ask->take != NULL ? CTL_ERROR_BODY_MAX : turn->ask->max;

    if (n > max - turn->answer->len) {
        turn->too_long = true;
        return 0;
    }

    /* grows with what comes: what is announced is not believed */
    turn->answer->body = ctl_realloc(turn->answer->body,
                                     turn->answer->len + n + 1);
    memcpy(turn->answer->body + turn->answer->len, data, n);
    turn->answer->len += n;
    turn->answer->body[turn->answer->len] = '\0';

    return n;
}


static void
http_keep_word(char *out, size_t max, s3c_slice_t value)
{
    size_t  len = value.len < max ? value.len : max;

    if (len > 0) {
        memcpy(out, value.data, len);
    }

    out[len] = '\0';
}


static size_t
http_on_header(char *data, size_t one, size_t n, void *turn_of)
{
    s3c_slice_t    line = s3c_slice(data, n), name, value;
    http_turn_t   *turn = turn_of;
    ctl_answer_t  *answer = turn->answer;
    const uint8_t *mark = memchr(line.data, ':', line.len);

    (void) one;

    while (line.len > 0 && (line.data[line.len - 1] == '\n'
                            || line.data[line.len - 1] == '\r'))
    {
        line.len--;
    }

    if (mark == NULL) {
        return n;
    }

    name = s3c_slice(line.data, (size_t) (mark - line.data));
    value = s3c_slice_trim(s3c_slice(mark + 1,
                                     line.data + line.len > mark
                                     ? (size_t) (line.data + line.len - mark
                                                 - 1) : 0));

    if (s3c_slice_eq_nocase(name, S3C_SLICE("ETag"))) {
        http_keep_word(answer->etag, CTL_ETAG_MAX, value);

    } else if (s3c_slice_eq_nocase(name, S3C_SLICE("X-Cache"))) {
        http_keep_word(answer->x_cache, CTL_WORD_MAX, value);

    } else if (s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-request-id"))) {
        answer->has_request_id = true;

    } else if (s3c_slice_eq_nocase(name, S3C_SLICE("Content-Type"))) {
        const uint8_t  *more = value.len > 0
                               ? memchr(value.data, ';', value.len) : NULL;

        if (more != NULL) {
            value = s3c_slice_trim(s3c_slice(value.data,
                                             (size_t) (more - value.data)));
        }

        http_keep_word(answer->type, CTL_WORD_MAX, value);
    }

    return n;
}


static int
http_on_time(void *turn_of, curl_off_t down_all, curl_off_t down,
    curl_off_t up_all, curl_off_t up)
{
    http_turn_t  *turn = turn_of;

    (void) down_all;
    (void) down;
    (void) up_all;
    (void) up;

    if (turn->http->stop != NULL && *turn->http->stop) {
        turn->ended = true;
        return 1;
    }

    return 0;
}


/* --- the request ---------------------------------------------------------- */

static size_t
http_on_read(char *to, size_t one, size_t n, void *turn_of)
{
    FILE    *body = ((http_turn_t *) turn_of)->ask->body;
    size_t   got = fread(to, 1, one * n, body);

    return ferror(body) ? CURL_READFUNC_ABORT : got;
}


/* A kept connection was closed: what was sent is sent again. */
static int
http_on_seek(void *turn_of, curl_off_t offset, int whence)
{
    return fseeko(((http_turn_t *) turn_of)->ask->body, (off_t) offset,
                  whence) == 0
           ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}



static bool
http_add_header(struct curl_slist **list, const char *name, s3c_slice_t value)
{
    char               line[HTTP_VALUE_MAX + 128];
    s3c_writer_t       w;
    struct curl_slist *more;

    s3c_writer_init(&w, line, sizeof(line) - 1);
    s3c_write_str(&w, name);
    s3c_write_lit(&w, ": ");
    s3c_write_slice(&w, value);
    *w.pos = '\0';

    if (!s3c_writer_ok(&w) || strpbrk(line, "\r\n") != NULL) {
        return false;
    }

    more = curl_slist_append(*list, line);
    *list = more != NULL ? more : *list;

    return more != NULL;
}


static s3c_slice_t
http_text(const char *text)
{
    return text == NULL ? S3C_SLICE_NONE : s3c_slice(text, strlen(text));
}


/* All headers that are signed, and the signature. */
static bool
http_sign(const ctl_ask_t *ask, struct curl_slist **list)
{
    uint8_t               date[S3C_SIGV4_DATE_BYTES], buf[HTTP_VALUE_MAX];
    uint8_t               digest[S3C_SHA256_BYTES], hex[128];
    s3c_writer_t          w;
    const ctl_keys_t     *keys = ask->keys;
    s3c_http_header_t     headers[4];
    s3c_sigv4_request_t   req = { .headers = headers };
    s3c_sigv4_identity_t  id = {
        .access_key = http_text(keys->access_key),
        .secret_key = http_text(keys->secret_key),
        .region = http_text(keys->region)
    };

    s3c_sigv4_date_print(time(NULL), date);

    if (s3c_sha256(S3C_SLICE_NONE, digest) != S3C_OK) {
        return false;
    }

    s3c_writer_init(&w, hex, sizeof(hex));
    s3c_write_hex(&w, ask->body != NULL ? ask->body_sha : digest,
                  sizeof(digest));

    headers[0] = (s3c_http_header_t) { S3C_SLICE("host"),
                                       http_text(ask->at->host) };
    headers[1] = (s3c_http_header_t) { S3C_SLICE("x-amz-content-sha256"),
                                       s3c_writer_slice(&w) };
    headers[2] = (s3c_http_header_t) { S3C_SLICE("x-amz-date"),
                                       s3c_slice(date, sizeof(date)) };
    headers[3] = (s3c_http_header_t) { S3C_SLICE("x-amz-security-token"),
                                       http_text(keys->session_token) };

    req.method = http_text(ask->method);
    req.path = ask->path;
    req.query = ask->query;
    req.n_headers = keys->session_token != NULL ? 4 : 3;
    req.payload_hash = headers[1].value;

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_sigv4_sign(&id, &req, date, &w) != S3C_OK) {
        return false;
    }

    for (unsigned i = 1; i < req.n_headers; i++) {
        if (!http_add_header(list, (const char *) headers[i].name.data,
                             headers[i].value))
        {
            return false;
        }
    }

    return http_add_header(list, "Authorization", s3c_writer_slice(&w));
}


static bool
http_headers(const ctl_ask_t *ask, struct curl_slist **list)
{
    struct curl_slist  *more;

    if (!http_add_header(list, "Host", http_text(ask->at->host))) {
        return false;
    }

    /* without a value: what libcurl would send of its own is left out */
    more = curl_slist_append(*list, "Expect:");

    if (more == NULL) {
        return false;
    }

    *list = more;

    more = curl_slist_append(*list, ask->body != NULL
                             ? "Content-Type: text/plain"
                             : "Content-Type:");

    if (more == NULL) {
        return false;
    }

    *list = more;

    return ask->keys->access_key == NULL || http_sign(ask, list);
}


static bool
http_url(const ctl_ask_t *ask, char *url, size_t size)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, url, size - 1);
    s3c_write_str(&w, ask->at->tls ? "https://" : "http://");
    s3c_write_str(&w, ask->at->host);
    s3c_uri_encode(&w, ask->path, true);

    if (ask->query.len > 0) {
        s3c_write_byte(&w, '?');
        s3c_write_slice(&w, ask->query);
    }

    *w.pos = '\0';

    return s3c_writer_ok(&w);
}


static void
http_set_connection(const ctl_http_t *http, const ctl_ask_t *ask)
{
    CURL              *curl = http->curl;
    const ctl_conf_t  *conf = http->conf;

    if (ask->at->socket[0] != '\0') {
        (void) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH,
                                ask->at->socket);
        (void) curl_easy_setopt(curl, CURLOPT_PROXY, "");

    } else if (conf->proxy != NULL) {
        (void) curl_easy_setopt(curl, CURLOPT_PROXY, conf->proxy);
    }

    if (conf->cacert != NULL) {
        (void) curl_easy_setopt(curl, CURLOPT_CAINFO, conf->cacert);
    }

    if (conf->cert != NULL) {
        (void) curl_easy_setopt(curl, CURLOPT_SSLCERT, conf->cert);
        (void) curl_easy_setopt(curl, CURLOPT_SSLKEY,
                                conf->cert_key ? conf->cert_key : conf->cert);
    }

    if (conf->insecure) {
        (void) curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void) curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }

    (void) curl_easy_setopt(curl, CURLOPT_SSLVERSION,
                            (long) CURL_SSLVERSION_TLSv1_2);
    (void) curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT,
                            conf->connect_timeout_s);

    if (ask->take == NULL && ask->body == NULL) {
        (void) curl_easy_setopt(curl, CURLOPT_TIMEOUT, conf->timeout_s);

    } else {
        (void) curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                                conf->timeout_s);
    }
}


static void
http_set_request(const ctl_http_t *http, const ctl_ask_t *ask,
    http_turn_t *turn)
{
    CURL  *curl = http->curl;

    (void) curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void) curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void) curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(curl, CURLOPT_USERAGENT,
                            "s3cachectl/" CTL_VERSION);
    (void) curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
    (void) curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_on_body);
    (void) curl_easy_setopt(curl, CURLOPT_WRITEDATA, turn);
    (void) curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, http_on_header);
    (void) curl_easy_setopt(curl, CURLOPT_HEADERDATA, turn);
    (void) curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, http_on_time);
    (void) curl_easy_setopt(curl, CURLOPT_XFERINFODATA, turn);
    (void) curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);

    if (strcmp(ask->method, "HEAD") == 0) {
        (void) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);

    } else if (strcmp(ask->method, "POST") == 0) {
        (void) curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t) ask->body_bytes);

        if (ask->body == NULL) {
            (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");

        } else {
            (void) curl_easy_setopt(curl, CURLOPT_READFUNCTION, http_on_read);
            (void) curl_easy_setopt(curl, CURLOPT_READDATA, turn);
            (void) curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, http_on_seek);
            (void) curl_easy_setopt(curl, CURLOPT_SEEKDATA, turn);
        }
    }
}


/* --- why there is no answer ----------------------------------------------- */

static const char *
http_why(const http_turn_t *turn, CURLcode code)
{
    long         err = 0;
    ctl_http_t  *http = turn->http;

    if (code == CURLE_COULDNT_CONNECT && turn->ask->at->socket[0] != '\0') {
        /* libcurl would name a host and a port, which a socket has not */
        (void) curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &err);

        return err != 0 ? strerror((int) err) : curl_easy_strerror(code);
    }

    return http->error[0] != '\0' ? http->error : curl_easy_strerror(code);
}


static ctl_exit_t
http_failed(ctl_t *ctl, const http_turn_t *turn, CURLcode code)
{
    const char  *what = http_why(turn, code);
    const char  *name = ctl_endpoint_name(turn->ask->at);

    if (turn->too_long) {
        return ctl_fail(ctl, CTL_WRONG, "the answer of %s is too long", name);
    }

    if (turn->ended) {
        return ctl_fail(ctl, CTL_LOCAL, "stopped");
    }

    switch (code) {

    case CURLE_OUT_OF_MEMORY:
        return ctl_fail(ctl, CTL_WRONG, "%s: a header that is too long, or no "
                        "memory", name);

    case CURLE_FAILED_INIT:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
        return ctl_fail(ctl, CTL_LOCAL, "%s", what);

    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return ctl_fail(ctl, CTL_WRONG, "%s: no HTTP that can be read: %s",
                        name, what);

    case CURLE_PEER_FAILED_VERIFICATION:
        return ctl_fail(ctl, CTL_UNREACHABLE,
                        "%s: its certificate is not one to be trusted: %s "
                        "(--cacert names the authority)", name, what);

    default:
        return ctl_fail(ctl, CTL_UNREACHABLE, "%s does not answer: %s",
                        name, what);
    }
}


ctl_exit_t
ctl_http_ask(ctl_t *ctl, const ctl_ask_t *ask, ctl_answer_t *answer)
{
    char                url[HTTP_URL_MAX];
    CURLcode            code;
    ctl_http_t         *http = ctl->http;
    curl_off_t          length = -1;
    http_turn_t         turn = { http, ask, answer, false, false };
    struct curl_slist  *headers = NULL;

    memset(answer, 0, sizeof(*answer));
    answer->length = -1;

    if (!http_url(ask, url, sizeof(url)) || !http_headers(ask, &headers)) {
        curl_slist_free_all(headers);
        return ctl_fail(ctl, CTL_USAGE,
                        "the request cannot be made: a name or a key is too "
                        "long, or holds a line break");
    }

    curl_easy_reset(http->curl);           /* connections are kept */
    http->error[0] = '\0';

    (void) curl_easy_setopt(http->curl, CURLOPT_URL, url);
    (void) curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    http_set_connection(http, ask);
    http_set_request(http, ask, &turn);

    code = curl_easy_perform(http->curl);
    curl_slist_free_all(headers);

    if (code != CURLE_OK) {
        ctl_answer_fini(answer);
        return http_failed(ctl, &turn, code);
    }

    (void) curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE,
                             &answer->status);
    (void) curl_easy_getinfo(http->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                             &length);
    answer->length = (int64_t) length;

    return CTL_OK;
}
