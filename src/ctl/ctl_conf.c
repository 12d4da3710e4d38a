/* SPDX-License-Identifier: Apache-2.0
 *
 * One table of settings. Secrets come from the environment or a file that
 * nobody else can read, never from a command line, which all users see.
 */
#define _GNU_SOURCE
#include "ctl/ctl_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "ctl/ctl_file.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

#define CONF_AT(field)  offsetof(ctl_conf_t, field)
#define CONF_LINE_MAX   256

typedef enum {
    CONF_TEXT,
    CONF_SECRET,
    CONF_PATH,                 /* of an endpoint */
    CONF_SECONDS,
    CONF_FLAG
} conf_kind_t;

static const struct {
    const char   *name;
    const char   *env[2];
    conf_kind_t   kind;
    size_t        at;
    const char   *none;        /* by default */
} conf_settings[] = {
    { "url", { "S3CACHE_URL" }, CONF_TEXT, CONF_AT(url), NULL },
    { "status", { "S3CACHE_STATUS" }, CONF_PATH, CONF_AT(status),
      "/s3-cache/status" },
    { "admin", { "S3CACHE_ADMIN" }, CONF_PATH, CONF_AT(admin),
      "/s3-cache/admin" },
    { "zone", { "S3CACHE_ZONE" }, CONF_TEXT, CONF_AT(zone), NULL },
    { "gateway", { "S3CACHE_GATEWAY" }, CONF_TEXT, CONF_AT(gateway_url),
      NULL },
    { "origin", { "S3CACHE_ORIGIN" }, CONF_TEXT, CONF_AT(origin_url), NULL },
    { "access-key", { "AWS_ACCESS_KEY_ID" }, CONF_TEXT,
      CONF_AT(keys.access_key), NULL },
    { "secret-key", { "AWS_SECRET_ACCESS_KEY" }, CONF_SECRET,
      CONF_AT(keys.secret_key), NULL },
    { "session-token", { "AWS_SESSION_TOKEN" }, CONF_SECRET,
      CONF_AT(keys.session_token), NULL },
    { "region", { "AWS_REGION", "AWS_DEFAULT_REGION" }, CONF_TEXT,
      CONF_AT(keys.region), "us-east-1" },
    { "origin-access-key", { "S3CACHE_ORIGIN_ACCESS_KEY_ID" }, CONF_TEXT,
      CONF_AT(origin_keys.access_key), NULL },
    { "origin-secret-key", { "S3CACHE_ORIGIN_SECRET_ACCESS_KEY" },
      CONF_SECRET, CONF_AT(origin_keys.secret_key), NULL },
    { "origin-session-token", { "S3CACHE_ORIGIN_SESSION_TOKEN" },
      CONF_SECRET, CONF_AT(origin_keys.session_token), NULL },
    { "origin-region", { "S3CACHE_ORIGIN_REGION" }, CONF_TEXT,
      CONF_AT(origin_keys.region), NULL },
    { "cacert", { "S3CACHE_CACERT" }, CONF_TEXT, CONF_AT(cacert), NULL },
    { "cert", { "S3CACHE_CERT" }, CONF_TEXT, CONF_AT(cert), NULL },
    { "cert-key", { "S3CACHE_CERT_KEY" }, CONF_TEXT, CONF_AT(cert_key),
      NULL },
    { "insecure", { NULL }, CONF_FLAG, CONF_AT(insecure), NULL },
    { "proxy", { "S3CACHE_PROXY" }, CONF_TEXT, CONF_AT(proxy), NULL },
    { "timeout", { "S3CACHE_TIMEOUT" }, CONF_SECONDS, CONF_AT(timeout_s),
      "30" },
    { "connect-timeout", { "S3CACHE_CONNECT_TIMEOUT" }, CONF_SECONDS,
      CONF_AT(connect_timeout_s), "5" }
};

#define CONF_N  (sizeof(conf_settings) / sizeof(conf_settings[0]))


const char *
ctl_conf_name(unsigned i, bool *flag)
{
    if (i >= CONF_N) {
        return NULL;
    }

    *flag = conf_settings[i].kind == CONF_FLAG;

    return conf_settings[i].name;
}


static unsigned
conf_find(s3c_slice_t name)
{
    unsigned  i;

    for (i = 0; i < CONF_N; i++) {
        if (s3c_slice_eq(name, s3c_slice(conf_settings[i].name,
                                         strlen(conf_settings[i].name))))
        {
            break;
        }
    }

    return i;
}


static bool
conf_is_given(const ctl_conf_t *conf, unsigned i)
{
    const uint8_t  *at = (const uint8_t *) conf + conf_settings[i].at;

    switch (conf_settings[i].kind) {

    case CONF_SECONDS:
        return *(const long *) (const void *) at > 0;

    case CONF_FLAG:
        return *(const bool *) (const void *) at;

    default:
        return *(const char *const *) (const void *) at != NULL;
    }
}


/* What was given first, in the order of what wins, stays. */
static s3c_status_t
conf_take(ctl_conf_t *conf, unsigned i, const char *value)
{
    double    s;
    uint8_t  *at = (uint8_t *) conf + conf_settings[i].at;

    if (conf_is_given(conf, i)) {
        return S3C_OK;
    }

    switch (conf_settings[i].kind) {

    case CONF_SECONDS:
        if (!ctl_time_parse(value, &s) || s < 1) {
            return S3C_INVALID;
        }

        *(long *) (void *) at = (long) s;
        return S3C_OK;

    case CONF_FLAG:
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
            return S3C_INVALID;
        }

        *(bool *) (void *) at = strcmp(value, "on") == 0;
        return S3C_OK;

    case CONF_PATH:
        if (value[0] != '/' || strpbrk(value, "?#% ") != NULL) {
            return S3C_INVALID;
        }
        break;

    default:
        if (value[0] == '\0' || strpbrk(value, "\r\n") != NULL) {
            return S3C_INVALID;
        }
    }

    *(char **) (void *) at = ctl_copy(s3c_slice(value, strlen(value)));

    return S3C_OK;
}


s3c_status_t
ctl_conf_set(ctl_t *ctl, const char *name, const char *value)
{
    unsigned  i = conf_find(s3c_slice(name, strlen(name)));

    if (i == CONF_N || conf_settings[i].kind == CONF_SECRET) {
        return S3C_MISS;
    }

    return conf_take(&ctl->conf, i, value);
}


static ctl_exit_t
conf_environment(ctl_t *ctl)
{
    for (unsigned i = 0; i < CONF_N; i++) {
        for (unsigned k = 0; k < 2 && conf_settings[i].env[k] != NULL; k++) {
            const char  *value = getenv(conf_settings[i].env[k]);

            if (value == NULL || value[0] == '\0') {
                continue;
            }

            if (conf_take(&ctl->conf, i, value) != S3C_OK) {
                return ctl_fail(ctl, CTL_USAGE, "%s: an invalid value",
                                conf_settings[i].env[k]);
            }
        }
    }

    return CTL_OK;
}


/* --- the file ------------------------------------------------------------- */

static char *
conf_path(void)
{
    char        *path;
    const char  *home = getenv("XDG_CONFIG_HOME"), *below = "";

    if (home == NULL || home[0] != '/') {
        home = getenv("HOME");
        below = "/.config";
    }

    if (home == NULL || home[0] != '/') {
        return NULL;
    }

    return asprintf(&path, "%s%s/s3cachectl", home, below) < 0 ? NULL : path;
}


/* buf has room for CTL_FILE_MAX + 1. MISS: it is not there. */
static s3c_status_t
conf_load(const char *path, uint8_t *buf, size_t *len, bool *open_to_all)
{
    int          fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t      n = 1;
    struct stat  st;

    *len = 0;

    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? S3C_MISS : S3C_IO;
    }

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        n = -1;
    }

    while (n > 0 && *len <= CTL_FILE_MAX) {
        n = read(fd, buf + *len, CTL_FILE_MAX + 1 - *len);
        *len += n > 0 ? (size_t) n : 0;
    }

    *open_to_all = n >= 0 && (st.st_mode & 077) != 0;
    (void) close(fd);

    return n < 0 ? S3C_IO : *len > CTL_FILE_MAX ? S3C_INVALID : S3C_OK;
}


/* One line; no message holds a value. */
static ctl_exit_t
conf_line(ctl_t *ctl, const char *path, unsigned line, s3c_slice_t name,
    s3c_slice_t value, bool open_to_all)
{
    char          *copy;
    unsigned       i = conf_find(name);
    s3c_status_t   st;

    if (i == CONF_N) {
        return ctl_fail(ctl, CTL_USAGE, "%s, line %u: there is no setting "
                        "\"%.*s\"", path, line,
                        (int) (name.len < CONF_LINE_MAX ? name.len
                                                        : CONF_LINE_MAX),
                        name.data);
    }

    if (conf_settings[i].kind == CONF_SECRET && open_to_all) {
        return ctl_fail(ctl, CTL_USAGE, "%s holds a secret and others can "
                        "read it: chmod 600", path);
    }

    copy = ctl_copy(value);
    st = conf_take(&ctl->conf, i, copy);
    s3c_digest_wipe(copy, value.len);
    free(copy);

    return st == S3C_OK ? CTL_OK
           : ctl_fail(ctl, CTL_USAGE, "%s, line %u: an invalid value", path,
                      line);
}


static ctl_exit_t
conf_file(ctl_t *ctl, const char *path, bool must)
{
    bool          open_to_all;
    size_t        len;
    unsigned      line = 0;
    uint8_t      *buf = ctl_alloc(CTL_FILE_MAX + 1);
    ctl_exit_t    end = CTL_OK;
    s3c_slice_t   rest, name, value;
    s3c_status_t  st = conf_load(path, buf, &len, &open_to_all);

    if (st == S3C_MISS && !must) {
        free(buf);
        return CTL_OK;
    }

    if (st != S3C_OK) {
        free(buf);
        return ctl_fail(ctl, CTL_LOCAL, "%s cannot be read%s", path,
                        st == S3C_INVALID ? ": it is too long" : "");
    }

    rest = s3c_slice(buf, len);

    while (end == CTL_OK
           && (st = ctl_file_next(&rest, &line, &name, &value)) == S3C_OK)
    {
        end = conf_line(ctl, path, line, name, value, open_to_all);
    }

    if (end == CTL_OK && st != S3C_MISS) {
        end = ctl_fail(ctl, CTL_USAGE, "%s, line %u: no \"name = value\"",
                       path, line);
    }

    s3c_digest_wipe(buf, CTL_FILE_MAX + 1);
    free(buf);

    return end;
}


/* --- what is made of them ------------------------------------------------- */

static ctl_exit_t
conf_endpoint(ctl_t *ctl, const char *name, const char *url,
    ctl_endpoint_t *at)
{
    const char  *why;

    if (url != NULL
        && ctl_endpoint_parse(at, s3c_slice(url, strlen(url)), &why)
           != S3C_OK)
    {
        return ctl_fail(ctl, CTL_USAGE, "%s \"%s\": %s", name, url, why);
    }

    return CTL_OK;
}


static ctl_exit_t
conf_keys(ctl_t *ctl)
{
    ctl_conf_t  *conf = &ctl->conf;

    if ((conf->keys.access_key == NULL) != (conf->keys.secret_key == NULL)
        || (conf->origin_keys.access_key == NULL)
           != (conf->origin_keys.secret_key == NULL))
    {
        return ctl_fail(ctl, CTL_USAGE,
                        "an access key and its secret belong together "
                        "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)");
    }

    if (conf->origin_keys.access_key == NULL) {
        const char  *region = conf->origin_keys.region;

        conf->origin_keys = conf->keys;
        conf->origin_keys.region = region;
    }

    if (conf->origin_keys.region == NULL) {
        conf->origin_keys.region = conf->keys.region;
    }

    return CTL_OK;
}


ctl_exit_t
ctl_conf_read(ctl_t *ctl, const char *file)
{
    char        *path = NULL;
    ctl_exit_t   end = conf_environment(ctl);
    ctl_conf_t  *conf = &ctl->conf;

    if (file == NULL) {
        file = getenv("S3CACHE_CONFIG");
    }

    if (end == CTL_OK && file == NULL) {
        path = conf_path();
    }

    if (end == CTL_OK && (file != NULL || path != NULL)) {
        end = conf_file(ctl, file != NULL ? file : path, file != NULL);
    }

    free(path);

    for (unsigned i = 0; i < CONF_N && end == CTL_OK; i++) {
        if (conf_settings[i].none != NULL
            && conf_take(conf, i, conf_settings[i].none) != S3C_OK)
        {
            end = CTL_LOCAL;
        }
    }

    if (end != CTL_OK) {
        return end;
    }

    if (conf->url == NULL) {
        return ctl_fail(ctl, CTL_USAGE, "which node? --url http://host:port "
                        "or unix:/path, or S3CACHE_URL");
    }

    end = conf_keys(ctl);

    if (end == CTL_OK) {
        end = conf_endpoint(ctl, "url", conf->url, &conf->node);
    }

    if (end == CTL_OK) {
        end = conf_endpoint(ctl, "gateway", conf->gateway_url != NULL
                            ? conf->gateway_url : conf->url, &conf->gateway);
    }

    return end != CTL_OK ? end
           : conf_endpoint(ctl, "origin", conf->origin_url, &conf->origin);
}
