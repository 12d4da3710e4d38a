# SPDX-License-Identifier: Apache-2.0
#
# What bash completes of s3cachectl. Installed as
# /usr/share/bash-completion/completions/s3cachectl.

_s3cachectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev= command= i
    local commands='status top ring explain purge drain undrain warmup verify'
    local settings='--url --status --admin --zone --gateway --origin
        --access-key --region --origin-access-key --origin-region --cacert
        --cert --cert-key --insecure --proxy --timeout --connect-timeout
        --config --json --help --version'
    local own=

    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}

    for ((i = 1; i < COMP_CWORD; i++)); do
        case " $commands " in
        *" ${COMP_WORDS[i]} "*)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    COMPREPLY=()

    case $prev in
    --cacert | --cert | --cert-key | --config | --list | --inventory)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --url | --gateway | --origin | --status | --admin | --zone | \
        --access-key | --region | --origin-access-key | --origin-region | \
        --proxy | --timeout | --connect-timeout | --interval | --count | \
        --offset | --version-id | --quiet | --wait-timeout | --sample | \
        --seed | --concurrency | --rate | --resume | --stop)
        return
        ;;
    esac

    case $command in
    '') own=$commands ;;
    top) own='--interval --count' ;;
    explain) own='--offset --version-id s3://' ;;
    purge)
        own='--version-id --yes'
        case $prev in
        purge) own="$own key prefix bucket all" ;;
        key | prefix | bucket) own="$own s3://" ;;
        esac
        ;;
    drain) own='--wait --quiet --wait-timeout' ;;
    undrain) own='--wait --wait-timeout' ;;
    warmup)
        own='--list --inventory --check --evict --concurrency --rate --resume
            --stop --jobs --detach s3://'
        ;;
    verify) own='--sample --seed --all s3://' ;;
    esac

    mapfile -t COMPREPLY < <(compgen -W "$own $settings" -- "$cur")
}

complete -F _s3cachectl s3cachectl
