# What hooks and actions look at answers with: sourced, not run. One that is wrong fails the hook, at its end.
set -u
wrongs=0
trap '[ $wrongs = 0 ] || exit 1' EXIT

note() {
    echo "$1" >>"$(config-get record)/${JUJU_UNIT_NAME/\//-}.hooks"
}

wrong() {
    printf 'WRONG in %s, line %s: %s\n' "${BASH_SOURCE[2]}" "${BASH_LINENO[1]}" "$1" >&2
    printf 'exit code %s, stdout [%s], stderr [%s]\n' "$code" "$out" "$err" >&2
    wrongs=$((wrongs + 1))
}

# Runs a command, and keeps its exit code, and its output to the last newline.
call() {
    out=$("$@" 2>.stderr </dev/null; printf '|%d' $?)
    code=${out##*|} out=${out%|*} err=$(cat .stderr; printf '|')
    err=${err%|}
}

# prints TEXT COMMAND...: it succeeds, prints that text and nothing else.
prints() {
    local wanted=$1
    shift
    call "$@"
    [ "$code" = 0 ] && [ "$out" = "$wanted" ] && [ -z "$err" ] || wrong "$* should print [$wanted]"
}

# says TEXT COMMAND...: the same, of a text that a newline ends.
says() {
    local wanted=$1$'\n'
    shift
    call "$@"
    [ "$code" = 0 ] && [ "$out" = "$wanted" ] && [ -z "$err" ] || wrong "$* should say [$wanted]"
}

# does COMMAND...: it succeeds in silence.
does() {
    prints '' "$@"
}

# resembles REGEX COMMAND...: it succeeds, and what it prints is like that, from its beginning to its end.
resembles() {
    local pattern="^$1"$'\n'"$"
    shift
    call "$@"
    [ "$code" = 0 ] && [[ $out =~ $pattern ]] && [ -z "$err" ] || wrong "$* should print what is like [$pattern]"
}

# fails CODE TEXT COMMAND...: it prints nothing, and this error alone.
fails() {
    local wanted_code=$1 wanted="ERROR $2"$'\n'
    shift 2
    call "$@"
    [ "$code" = "$wanted_code" ] && [ -z "$out" ] && [ "$err" = "$wanted" ] ||
        wrong "$* should exit with $wanted_code and complain [$wanted]"
}

# misuses COMMAND...: whatever the words, that is not how it is called.
misuses() {
    call "$@"
    [ "$code" = 2 ] && [ -z "$out" ] && [[ $err == "ERROR "* ]] || wrong "$* is misuse"
}
