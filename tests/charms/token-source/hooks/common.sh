# What the hooks share: sourced, not run.
token() {
    local token i rounds text=""
    token=$(config-get token)
    rounds=$(config-get rounds)
    for ((i = 0; i < rounds; i++)); do text+=$token; done
    if [ "$(config-get shout)" = True ]; then text=${text^^}; fi
    printf '%s' "$text"
}
