/* SPDX-License-Identifier: Apache-2.0
 *
 * A list is signed before it is sent, so it is read twice: what cannot be
 * (a pipe) goes through a file that has no name.
 */
#define _GNU_SOURCE
#include "ctl/ctl_upload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ctl/ctl_inventory.h"
#include "ctl/ctl_text.h"

#define UPLOAD_PART  (64u << 10)


static FILE *
upload_open(ctl_t *ctl, const char *path)
{
    FILE  *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (file == NULL) {
        (void) ctl_fail(ctl, CTL_LOCAL, "%s: %s", path, strerror(errno));
    }

    return file;
}


static void
upload_close(FILE *file)
{
    if (file != stdin) {
        (void) fclose(file);
    }
}


/* Its digest and length; then it stands at its begin again. */
static ctl_exit_t
upload_sum(ctl_t *ctl, ctl_body_t *body)
{
    size_t       n;
    s3c_sha_t    sha = { NULL };
    static char  part[UPLOAD_PART];

    body->bytes = 0;

    if (s3c_sha256_init(&sha) != S3C_OK) {
        return ctl_fail(ctl, CTL_LOCAL, "SHA-256 is not to be had");
    }

    rewind(body->file);

    while ((n = fread(part, 1, sizeof(part), body->file)) > 0) {
        body->bytes += n;

        if (s3c_sha_add(&sha, s3c_slice(part, n)) != S3C_OK) {
            break;
        }
    }

    if (n > 0 || ferror(body->file)
        || s3c_sha_end(&sha, body->sha) != S3C_OK)
    {
        s3c_sha_fini(&sha);
        return ctl_fail(ctl, CTL_LOCAL, "the list cannot be read");
    }

    s3c_sha_fini(&sha);
    rewind(body->file);

    return body->bytes > 0 ? CTL_OK
           : ctl_fail(ctl, CTL_USAGE, "the list is empty");
}


static ctl_exit_t
upload_copy(ctl_t *ctl, FILE *from, FILE *to, uint64_t *bad)
{
    size_t       n;
    static char  part[UPLOAD_PART];

    *bad = 0;                              /* who takes the list looks */

    while ((n = fread(part, 1, sizeof(part), from)) > 0) {
        if (fwrite(part, 1, n, to) != n) {
            break;
        }
    }

    return n > 0 || ferror(from) || fflush(to) != 0
           ? ctl_fail(ctl, CTL_LOCAL, "the list cannot be copied: %s",
                      strerror(errno))
           : CTL_OK;
}


static ctl_exit_t
upload_convert(ctl_t *ctl, FILE *from, FILE *to, uint64_t *bad)
{
    char         *line = NULL;
    size_t        room = 0;
    ssize_t       n;
    uint64_t      lines = 0, good = 0;
    s3c_writer_t  w;
    static char   out[CTL_INVENTORY_LINE_MAX];

    *bad = 0;

    while ((n = getline(&line, &room, from)) > 0) {
        lines++;
        n -= line[n - 1] == '\n';
        s3c_writer_init(&w, out, sizeof(out));

        switch (ctl_inventory_line(s3c_slice(line, (size_t) n), &w)) {

        case S3C_OK:
            good++;
            (void) fwrite(out, 1, s3c_writer_slice(&w).len, to);
            break;

        case S3C_MISS:
            break;

        default:
            if ((*bad)++ == 0) {
                (void) fprintf(stderr, "s3cachectl: line %s is none of an "
                               "inventory\n", ctl_count(lines));
            }
        }
    }

    free(line);

    if (ferror(from) || fflush(to) != 0 || ferror(to)) {
        return ctl_fail(ctl, CTL_LOCAL, "the inventory cannot be read: %s",
                        strerror(errno));
    }

    if (good == 0) {
        return ctl_fail(ctl, CTL_USAGE, "no line is one of an inventory: it "
                        "must be CSV, and not compressed");
    }

    if (*bad > 0) {
        (void) fprintf(stderr, "s3cachectl: %s of %s lines were passed "
                       "over\n", ctl_count(*bad), ctl_count(lines));
    }

    return CTL_OK;
}


static ctl_exit_t
upload_through(ctl_t *ctl, FILE *from, ctl_body_t *body, uint64_t *bad,
    ctl_exit_t (*way)(ctl_t *ctl, FILE *from, FILE *to, uint64_t *bad))
{
    ctl_exit_t  end;

    body->file = tmpfile();

    if (body->file == NULL) {
        return ctl_fail(ctl, CTL_LOCAL, "no file to keep the list in: %s",
                        strerror(errno));
    }

    end = way(ctl, from, body->file, bad);

    return end == CTL_OK ? upload_sum(ctl, body) : end;
}


ctl_exit_t
ctl_upload_list(ctl_t *ctl, const char *path, ctl_body_t *body)
{
    FILE         *file = upload_open(ctl, path);
    uint64_t      bad;
    ctl_exit_t    end;
    struct stat   st;

    if (file == NULL) {
        return CTL_LOCAL;
    }

    if (file != stdin && fstat(fileno(file), &st) == 0
        && S_ISREG(st.st_mode))
    {
        body->file = file;
        return upload_sum(ctl, body);
    }

    end = upload_through(ctl, file, body, &bad, upload_copy);
    upload_close(file);

    return end;
}


ctl_exit_t
ctl_upload_inventory(ctl_t *ctl, const char *path, ctl_body_t *body,
    uint64_t *bad)
{
    FILE        *file = upload_open(ctl, path);
    ctl_exit_t   end;

    if (file == NULL) {
        return CTL_LOCAL;
    }

    end = upload_through(ctl, file, body, bad, upload_convert);
    upload_close(file);

    return end;
}
