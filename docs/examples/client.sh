#!/bin/sh
# A client of doorward for scripts. It signs in, calls, refreshes by itself, and says when to sign in
# again, and why. It needs curl, jq and flock. Any number of processes may share one session.
#
#   client.sh login USERNAME             the password on standard input
#   client.sh call METHOD PATH [JSON]    prints the answer
#   client.sh step-up                    the password on standard input; then call again
#   client.sh logout
#
# DOORWARD_BASE is the server, DOORWARD_TOKENS the file of the session. Status: 0; 3: sign in again;
# 1: refused otherwise, or no answer. Standard error says why.
set -eu
umask 077
base=${DOORWARD_BASE:-http://127.0.0.1:8080}
held=${DOORWARD_TOKENS:-$HOME/.doorward-tokens}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# A member of a JSON file; nothing where it is missing.
member() {
    jq -r "if type == \"object\" then .$1 // empty else empty end" "$2" 2>/dev/null || true
}

# send METHOD PATH TOKEN BODY: one request. Neither token nor body stands where `ps` shows it.
send() {
    printf '%s' "$4" >"$work/body"
    : >"$work/answer"
    status=$({
        [ -z "$3" ] || printf 'header = "Authorization: Bearer %s"\n' "$3"
        [ -z "$4" ] || printf 'header = "Content-Type: application/json"\ndata-binary = "@%s/body"\n' "$work"
    } | curl --silent --show-error --connect-timeout 5 --max-time 30 --config - --request "$1" \
        --output "$work/answer" --write-out '%{http_code} %{content_type}' "$base$2") || status='000'
}

# ask METHOD PATH TOKEN BODY: asks again where that helps and does nothing twice. Fails with $action set.
ask() {
    tries=4
    while :; do
        send "$@"
        case $status in 2?? | 2??\ * | 304*) return ;; esac
        action= code= wait=1
        case $status in
        *application/problem+json*)
            action=$(member action "$work/answer") code=$(member code "$work/answer")
            wait=$(member retry_after "$work/answer")
            ;;
        esac
        tries=$((tries - 1))
        # Nothing is asked again but what doorward says to wait for, or what had no answer of doorward's.
        case $action in '' | wait) ;; *) return 1 ;; esac
        # With the database away, or without an answer, nobody can say whether a change was still made.
        case "$1 $2" in
        'GET '* | 'POST /api/v1/auth/refresh' | 'POST /api/v1/auth/logout') ;;
        *) case $code in '' | database_unavailable) return 1 ;; esac ;;
        esac
        # Who is told to wait for longer than half a minute hears of it at once.
        [ "$tries" -gt 0 ] && [ "${wait:-2}" -le 30 ] || return 1
        sleep "${wait:-2}"
    done
}

# Says what the last answer was, and ends. Only doorward's own word may end what is held.
refuse() {
    [ "$(member terminal "$work/answer")" != true ] || [ -z "$action" ] || rm -f "$held"
    if [ -n "$action" ]; then
        jq -r '"\(.detail) (\(.code), request \(.request_id); next: \(.action))",
            (.errors // [] | .[] | "  \(.pointer): \(.detail)")' "$work/answer" >&2
    else
        echo "no answer of doorward's (status ${status%% *}); nothing is lost, try again later" >&2
    fi
    [ "$action" != login ] || exit 3
    exit 1
}

# Stores the tokens before they are used, and whole or not at all.
hold() {
    [ -s "$held" ] || echo '{}' >"$held"
    jq -s '.[0] * .[1]' "$held" "$work/answer" >"$held.new"
    mv "$held.new" "$held"
}

# One at a time, until `unlock` or the end of this process, however it ends.
lock() {
    exec 9>"$held.lock"
    flock 9
}

unlock() {
    exec 9>&-
}

# refresh TOKEN: who waited finds it done, the token held is then no longer the one refused.
refresh() {
    lock
    if [ -s "$held" ] && [ "$(member access_token "$held")" = "$1" ]; then
        ask POST /api/v1/auth/refresh '' "$(jq -c '{refresh_token}' "$held")" || refuse
        hold
    fi
    unlock
}

# call METHOD PATH [JSON]
call() {
    token=$(member access_token "$held")
    ask "$1" "$2" "$token" "${3:-}" && return
    [ "$action" = refresh ] || refuse
    refresh "$token"
    ask "$1" "$2" "$(member access_token "$held")" "${3:-}" || refuse
}

case ${1:-} in
login)
    lock
    ask POST /api/v1/auth/login '' "$(jq -cR --arg username "$2" '{$username, password: ., device: "client.sh"}')" || refuse
    hold
    ;;
call)
    shift
    call "$@"
    cat "$work/answer"
    ;;
step-up)
    call POST /api/v1/auth/step-up "$(jq -cR '{password: .}')"
    lock
    hold
    ;;
logout)
    lock
    [ -s "$held" ] || exit 0
    ask POST /api/v1/auth/logout '' "$(jq -c '{refresh_token}' "$held")" || refuse
    rm -f "$held"
    ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
    ;;
esac
