/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl [options] command [arguments]: what is wanted, and how it ended.
 * What the commands do is in the files of their names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/ctl_conf.h"
#include "ctl/ctl_http.h"
#include "ctl/ctl_json.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

#define MAIN_OPTIONS_MAX  64           /* with all settings */
#define MAIN_AT_ONCE_MAX  256          /* what a node takes */

/* Commands that know an option. */
enum {
    ON_STATUS = 1 << 0,
    ON_TOP = 1 << 1,
    ON_RING = 1 << 2,
    ON_EXPLAIN = 1 << 3,
    ON_PURGE = 1 << 4,
    ON_DRAIN = 1 << 5,
    ON_UNDRAIN = 1 << 6,
    ON_VERIFY = 1 << 7,
    ON_WARMUP = 1 << 8
};

static const struct {
    const char   *name;
    ctl_exit_t  (*run)(ctl_t *ctl);
    unsigned      bit;
    int           least, most;           /* arguments */
    const char   *usage;                 /* an error shows its first line */
} main_commands[] = {
    { "status", ctl_status, ON_STATUS, 0, 0, "" },
    { "top", ctl_top, ON_TOP, 0, 0, "[--interval S] [--count N]" },
    { "ring", ctl_ring, ON_RING, 0, 0, "" },
    { "explain", ctl_explain, ON_EXPLAIN, 1, 1,
      "s3://bucket/key [--offset N] [--version-id ID]" },
    { "purge", ctl_purge, ON_PURGE, 1, 2,
      "key|prefix|bucket s3://bucket/key | all --yes" },
    { "drain", ctl_drain, ON_DRAIN, 0, 0,
      "[--wait] [--quiet S] [--wait-timeout S]" },
    { "undrain", ctl_undrain, ON_UNDRAIN, 0, 0,
      "[--wait] [--wait-timeout S]" },
    { "warmup", ctl_warmup, ON_WARMUP, 0, 1,
      "s3://bucket/prefix | --list FILE | --inventory CSV\n"
      "[--check | --evict] [--concurrency N] [--rate BYTES] [--detach]\n"
      "--jobs | --resume ID | --stop ID" },
    { "verify", ctl_verify, ON_VERIFY, 1, 1,
      "s3://bucket/prefix --origin URL [--sample N | --all]" }
};

#define MAIN_COMMANDS  (sizeof(main_commands) / sizeof(main_commands[0]))

typedef enum {
    OPTION_FLAG,
    OPTION_NUMBER,
    OPTION_AT_ONCE,
    OPTION_SIZE,
    OPTION_SECONDS,
    OPTION_TEXT
} main_kind_t;

#define MAIN_AT(field)  offsetof(ctl_options_t, field)

static const struct {
    const char   *name;
    main_kind_t   kind;
    size_t        at;
    unsigned      on;
} main_options[] = {
    { "json", OPTION_FLAG, MAIN_AT(json), ~0u },
    { "interval", OPTION_SECONDS, MAIN_AT(interval_s), ON_TOP },
    { "count", OPTION_NUMBER, MAIN_AT(count), ON_TOP },
    { "offset", OPTION_SIZE, MAIN_AT(offset), ON_EXPLAIN },
    { "version-id", OPTION_TEXT, MAIN_AT(version_id), ON_EXPLAIN | ON_PURGE },
    { "yes", OPTION_FLAG, MAIN_AT(yes), ON_PURGE },
    { "wait", OPTION_FLAG, MAIN_AT(wait), ON_DRAIN | ON_UNDRAIN },
    { "quiet", OPTION_SECONDS, MAIN_AT(quiet_s), ON_DRAIN },
    { "wait-timeout", OPTION_SECONDS, MAIN_AT(wait_timeout_s),
      ON_DRAIN | ON_UNDRAIN },
    { "sample", OPTION_NUMBER, MAIN_AT(sample), ON_VERIFY },
    { "seed", OPTION_NUMBER, MAIN_AT(seed), ON_VERIFY },
    { "all", OPTION_FLAG, MAIN_AT(all), ON_VERIFY },
    { "list", OPTION_TEXT, MAIN_AT(list), ON_WARMUP },
    { "inventory", OPTION_TEXT, MAIN_AT(inventory), ON_WARMUP },
    { "resume", OPTION_TEXT, MAIN_AT(resume), ON_WARMUP },
    { "stop", OPTION_TEXT, MAIN_AT(stop), ON_WARMUP },
    { "jobs", OPTION_FLAG, MAIN_AT(jobs), ON_WARMUP },
    { "check", OPTION_FLAG, MAIN_AT(check), ON_WARMUP },
    { "evict", OPTION_FLAG, MAIN_AT(evict), ON_WARMUP },
    { "detach", OPTION_FLAG, MAIN_AT(detach), ON_WARMUP },
    { "concurrency", OPTION_AT_ONCE, MAIN_AT(concurrency), ON_WARMUP },
    { "rate", OPTION_SIZE, MAIN_AT(rate), ON_WARMUP }
};

#define MAIN_OPTIONS  (sizeof(main_options) / sizeof(main_options[0]))

/* what getopt_long() answers: where the option is */
enum {
    MAIN_SETTING = 0x1000,
    MAIN_OPTION = 0x2000,
    MAIN_HELP,
    MAIN_VERSION_OF,
    MAIN_CONFIG
};


static void
main_usage(FILE *out)
{
    (void) fputs("usage: s3cachectl [options] command [arguments]\n", out);

    for (size_t i = 0; i < MAIN_COMMANDS; i++) {
        const char  *name = main_commands[i].name;

        for (const char *line = main_commands[i].usage; line != NULL; ) {
            size_t  n = strcspn(line, "\n");

            (void) fprintf(out, "  %-8s %.*s\n", name, (int) n, line);
            line = line[n] == '\n' ? line + n + 1 : NULL;
            name = "";
        }
    }

    (void) fputs("options: --url URL, --json, and more: man s3cachectl\n",
                 out);
}


/* Settings and options, as getopt_long() wants them. */
static void
main_long(struct option longs[MAIN_OPTIONS_MAX])
{
    bool         flag;
    unsigned     n = 0;
    const char  *name;

    for (unsigned i = 0; (name = ctl_conf_name(i, &flag)) != NULL; i++) {
        longs[n++] = (struct option) { name, flag ? no_argument
                                                  : required_argument,
                                       NULL, MAIN_SETTING + (int) i };
    }

    for (unsigned i = 0; i < MAIN_OPTIONS; i++) {
        longs[n++] = (struct option) { main_options[i].name,
                                       main_options[i].kind == OPTION_FLAG
                                       ? no_argument : required_argument,
                                       NULL, MAIN_OPTION + 16 + (int) i };
    }

    longs[n++] = (struct option) { "config", required_argument, NULL,
                                   MAIN_CONFIG };
    longs[n++] = (struct option) { "help", no_argument, NULL, MAIN_HELP };
    longs[n++] = (struct option) { "version", no_argument, NULL,
                                   MAIN_VERSION_OF };
    longs[n] = (struct option) { NULL, 0, NULL, 0 };
}


static bool
main_take(ctl_options_t *options, unsigned i, const char *value)
{
    uint8_t   *at = (uint8_t *) options + main_options[i].at;
    uint64_t  *n = (uint64_t *) (void *) at;

    switch (main_options[i].kind) {

    case OPTION_FLAG:
        *(bool *) (void *) at = true;
        return true;

    case OPTION_NUMBER:
        return ctl_number_parse(value, n);

    case OPTION_AT_ONCE:
        return ctl_number_parse(value, n) && *n > 0
               && *n <= MAIN_AT_ONCE_MAX;

    case OPTION_SIZE:
        options->has_offset |= main_options[i].at == MAIN_AT(offset);
        return ctl_size_parse(value, n);

    case OPTION_SECONDS:
        return ctl_time_parse(value, (double *) (void *) at);

    case OPTION_TEXT:
        *(const char **) (void *) at = value;
        return true;
    }

    return false;
}


typedef struct {
    unsigned     command;
    unsigned     given[MAIN_OPTIONS];
    const char  *config;
    bool         over;                   /* --help, --version */
} main_line_t;


static ctl_exit_t
main_option(ctl_t *ctl, main_line_t *line, int option)
{
    bool      flag;
    unsigned  i = (unsigned) option;

    if (option >= MAIN_OPTION + 16) {
        i -= MAIN_OPTION + 16;
        line->given[i] = 1;

        return main_take(&ctl->options, i, optarg) ? CTL_OK
               : ctl_fail(ctl, CTL_USAGE, "--%s: an invalid value%s",
                          main_options[i].name,
                          main_options[i].kind == OPTION_AT_ONCE
                          ? ": 1 to 256 is needed" : "");
    }

    switch (option) {

    case MAIN_HELP:
        main_usage(stdout);
        line->over = true;
        return CTL_OK;

    case MAIN_VERSION_OF:
        (void) puts("s3cachectl " CTL_VERSION);
        line->over = true;
        return CTL_OK;

    case MAIN_CONFIG:
        line->config = optarg;
        return CTL_OK;

    case '?':
    case ':':
        /* that begins with something like a secret: it is not repeated */
        return ctl_fail(ctl, CTL_USAGE, "an option that is not known, or "
                        "without its value");
    default:
        break;
    }

    i -= MAIN_SETTING;

    switch (ctl_conf_set(ctl, ctl_conf_name(i, &flag),
                         optarg != NULL ? optarg : "on"))
    {
    case S3C_OK:
        return CTL_OK;

    case S3C_MISS:
        return ctl_fail(ctl, CTL_USAGE, "--%s: all users would see it: put it "
                        "into the environment or a file",
                        ctl_conf_name(i, &flag));
    default:
        return ctl_fail(ctl, CTL_USAGE, "--%s: an invalid value",
                        ctl_conf_name(i, &flag));
    }
}


static ctl_exit_t
main_command(ctl_t *ctl, main_line_t *line, const char *name)
{
    const char  *usage;

    for (line->command = 0; line->command < MAIN_COMMANDS; line->command++) {
        if (strcmp(name, main_commands[line->command].name) == 0) {
            break;
        }
    }

    if (line->command == MAIN_COMMANDS) {
        return ctl_fail(ctl, CTL_USAGE, "there is no command \"%s\": "
                        "s3cachectl --help", name);
    }

    if (ctl->n_args < main_commands[line->command].least
        || ctl->n_args > main_commands[line->command].most)
    {
        usage = main_commands[line->command].usage;

        return ctl_fail(ctl, CTL_USAGE, "usage: s3cachectl %s%s%.*s", name,
                        usage[0] != '\0' ? " " : "",
                        (int) strcspn(usage, "\n"), usage);
    }

    for (unsigned i = 0; i < MAIN_OPTIONS; i++) {
        if (line->given[i]
            && !(main_options[i].on & main_commands[line->command].bit))
        {
            return ctl_fail(ctl, CTL_USAGE, "--%s is not of %s",
                            main_options[i].name, name);
        }
    }

    return CTL_OK;
}


static ctl_exit_t
main_parse(ctl_t *ctl, main_line_t *line, int argc, char **argv)
{
    int            option;
    ctl_exit_t     end = CTL_OK;
    struct option  longs[MAIN_OPTIONS_MAX];

    main_long(longs);
    opterr = 0;

    while (end == CTL_OK && !line->over
           && (option = getopt_long(argc, argv, "", longs, NULL)) != -1)
    {
        end = main_option(ctl, line, option);
    }

    if (end != CTL_OK || line->over) {
        return end;
    }

    if (optind == argc) {
        main_usage(stderr);
        return ctl_fail(ctl, CTL_USAGE, "a command is needed");
    }

    ctl->n_args = argc - optind - 1;
    ctl->args = argv + optind + 1;

    return main_command(ctl, line, argv[optind]);
}


/* Why, for people; with --json also for programs. */
static void
main_complain(const ctl_t *ctl, ctl_exit_t end)
{
    json_t       *json;
    s3c_slice_t   error = s3c_slice(ctl->error, strlen(ctl->error));

    if (error.len == 0) {
        return;
    }

    (void) fputs("s3cachectl: ", stderr);
    ctl_text_put(stderr, error);
    (void) fputc('\n', stderr);

    if (ctl->options.json) {
        json = json_pack("{s:s%,s:i}", "error", ctl->error, error.len,
                         "exit", (int) end);

        if (json == NULL) {
            /* no UTF-8 */
            json = json_pack("{s:s,s:i}", "error", "see stderr", "exit",
                             (int) end);
        }

        ctl_json_print(stdout, json);
        json_decref(json);
    }
}


int
main(int argc, char **argv)
{
    ctl_exit_t   end;
    main_line_t  line = { .command = 0 };
    static ctl_t ctl;

    (void) setlocale(LC_ALL, "");
    (void) setlocale(LC_NUMERIC, "C");
    ctl_text_utf8(strcmp(nl_langinfo(CODESET), "UTF-8") == 0);

    /* who reads may leave */
    (void) signal(SIGPIPE, SIG_IGN);

    end = main_parse(&ctl, &line, argc, argv);

    if (end == CTL_OK && !line.over) {
        end = ctl_conf_read(&ctl, line.config);
    }

    if (end == CTL_OK && !line.over) {
        ctl.http = ctl_http_create(&ctl.conf);
        end = ctl.http == NULL
              ? ctl_fail(&ctl, CTL_LOCAL, "libcurl does not begin")
              : main_commands[line.command].run(&ctl);
    }

    main_complain(&ctl, end);
    ctl_http_destroy(ctl.http);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        return end == CTL_OK ? CTL_LOCAL : (int) end;
    }

    return (int) end;
}
