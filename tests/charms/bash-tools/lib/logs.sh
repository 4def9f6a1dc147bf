does juju-log words are joined
does juju-log -l DEBUG one
does juju-log --log-level warning two
does juju-log --debug three
does juju-log --log-level nonsense "is said at INFO, with a warning"
does juju-log -- --not-a-flag
misuses juju-log
fails 2 'option provided but not defined: --not-a-flag' juju-log --not-a-flag
call juju-log --format json x
[ "$code" = 0 ] && [ "$err" = $'--format flag deprecated for command "juju-log"\n' ] ||
    wrong "juju-log --format should be warned of"
