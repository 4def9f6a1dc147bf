call resource-get letter
[ "$code" = 0 ] && [[ $out == /*/letter.txt ]] && [ "$(cat "$out")" = "of thanks" ] ||
    wrong "resource-get should print a path, without a newline"
misuses resource-get
misuses resource-get letter stamp
call resource-get stamp
[ "$code" = 1 ] && [ -z "$out" ] && [[ $err == "ERROR "*stamp* ]] || wrong "there is no resource stamp"
does payload-register docker monitor one label another
does payload-status-set monitor one running
fails 1 'status "broken" not supported; expected one of [starting running stopping stopped]' \
    payload-status-set monitor one broken
fails 1 'incorrect type "kvm" for payload "monitor", expected "docker"' payload-register kvm monitor one
fails 1 'payload "stranger" not found in metadata.yaml' payload-register docker stranger one
does payload-unregister monitor one
misuses payload-register docker monitor
misuses payload-unregister monitor
misuses payload-status-set monitor one
