/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of a block, see ngx_http_s3_cache_conf_block.h.
 */

#include "ngx_http_s3_cache_conf_block.h"


/* cf->handler_conf while a block is read */
typedef struct {
    const ngx_http_s3_cache_conf_block_t  *block;
    void                       *conf;
} block_reader_t;


static char *block_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf);
static char *block_set(ngx_conf_t *cf, ngx_command_t *cmd,
    block_reader_t *reader);
static char *block_unknown(ngx_conf_t *cf,
    const ngx_http_s3_cache_conf_block_t *block);


char *
ngx_http_s3_cache_conf_block(ngx_conf_t *cf,
    const ngx_http_s3_cache_conf_block_t *block, void *conf)
{
    char            *rv;
    ngx_conf_t       save;
    block_reader_t   reader;

    reader.block = block;
    reader.conf = conf;

    save = *cf;

    cf->handler = block_line;
    cf->handler_conf = (void *) &reader;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
block_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    block_reader_t *reader = conf;

    ngx_str_t      *value;
    ngx_command_t  *cmd;

    value = cf->args->elts;

    for (cmd = reader->block->params; cmd->name.len; cmd++) {

        if (cmd->name.len == value[0].len
            && ngx_strcmp(cmd->name.data, value[0].data) == 0)
        {
            return block_set(cf, cmd, reader);
        }
    }

    return block_unknown(cf, reader->block);
}


static char *
block_set(ngx_conf_t *cf, ngx_command_t *cmd, block_reader_t *reader)
{
    char  *rv;

    if (cmd->type == NGX_CONF_TAKE1 && cf->args->nelts != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of %s takes one value",
                           &cmd->name, reader->block->name);
        return NGX_CONF_ERROR;
    }

    rv = cmd->set(cf, cmd, reader->conf);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" of %s %s",
                           &cmd->name, reader->block->name, rv);
        return NGX_CONF_ERROR;
    }

    return rv;
}


/* "secret=..." is one word: what is behind its name is not shown. */

static char *
block_unknown(ngx_conf_t *cf, const ngx_http_s3_cache_conf_block_t *block)
{
    size_t      len;
    ngx_str_t  *value;

    value = cf->args->elts;

    for (len = 0; len < value[0].len; len++) {
        if ((value[0].data[len] < 'a' || value[0].data[len] > 'z')
            && value[0].data[len] != '_')
        {
            break;
        }
    }

    value[0].len = len;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of %s: it knows %s",
                       &value[0], block->name, block->known);

    return NGX_CONF_ERROR;
}
