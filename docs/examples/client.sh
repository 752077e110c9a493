#!/bin/sh
# A client of doorward for scripts. It signs in, sends requests, refreshes automatically, and says when
# and why to sign in again. It needs curl, jq and flock. Any number of processes can share one session.
#
#   client.sh login USERNAME             reads the password from standard input
#   client.sh call METHOD PATH [JSON]    prints the answer
#   client.sh step-up                    reads the password from standard input; then call again
#   client.sh logout
#
# DOORWARD_BASE is the server, DOORWARD_TOKENS the file with the session's tokens. Exit status: 0;
# 3: sign in again; 1: another refusal, or no answer. Standard error says why.
set -eu
umask 077
base=${DOORWARD_BASE:-http://127.0.0.1:8080}
held=${DOORWARD_TOKENS:-$HOME/.doorward-tokens}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# Prints a member of a JSON file, or nothing if it is missing.
member() {
    jq -r "if type == \"object\" then .$1 // empty else empty end" "$2" 2>/dev/null || true
}

# send METHOD PATH TOKEN BODY: sends one request. `ps` shows neither the token nor the body.
send() {
    printf '%s' "$4" >"$work/body"
    : >"$work/answer"
    status=$({
        [ -z "$3" ] || printf 'header = "Authorization: Bearer %s"\n' "$3"
        [ -z "$4" ] || printf 'header = "Content-Type: application/json"\ndata-binary = "@%s/body"\n' "$work"
    } | curl --silent --show-error --connect-timeout 5 --max-time 30 --config - --request "$1" \
        --output "$work/answer" --write-out '%{http_code} %{content_type}' "$base$2") || status='000'
}

# ask METHOD PATH TOKEN BODY: sends a request, and retries it if that is safe. Fails with $action set.
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
        # Retry only if doorward says to wait, or if there was no answer from doorward.
        case $action in '' | wait) ;; *) return 1 ;; esac
        # Without the database, or without an answer, it is unknown whether a change was made.
        case "$1 $2" in
        'GET '* | 'POST /api/v1/auth/refresh' | 'POST /api/v1/auth/logout') ;;
        *) case $code in '' | database_unavailable) return 1 ;; esac ;;
        esac
        # If the wait is longer than half a minute, report the refusal immediately.
        [ "$tries" -gt 0 ] && [ "${wait:-2}" -le 30 ] || return 1
        sleep "${wait:-2}"
    done
}

# Prints the last answer, and exits. Only an answer from doorward itself can discard the tokens.
refuse() {
    [ "$(member terminal "$work/answer")" != true ] || [ -z "$action" ] || rm -f "$held"
    if [ -n "$action" ]; then
        jq -r '"\(.detail) (\(.code), request \(.request_id); next: \(.action))",
            (.errors // [] | .[] | "  \(.pointer): \(.detail)")' "$work/answer" >&2
    else
        echo "no answer from doorward (status ${status%% *}); nothing is lost, try again later" >&2
    fi
    [ "$action" != login ] || exit 3
    exit 1
}

# Stores the tokens before they are used, completely or not at all.
hold() {
    [ -s "$held" ] || echo '{}' >"$held"
    jq -s '.[0] * .[1]' "$held" "$work/answer" >"$held.new"
    mv "$held.new" "$held"
}

# Holds the lock until `unlock` or the end of this process.
lock() {
    exec 9>"$held.lock"
    flock 9
}

unlock() {
    exec 9>&-
}

# refresh TOKEN: refreshes, unless another process has already replaced this token.
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
