says swordfish config-get text
says '"swordfish"' config-get --format json text
says swordfish config-get text --format=yaml
says True config-get truth
says true config-get truth --format=json
says true config-get truth --format yaml
says 5 config-get number
says 5 config-get --format=json number
says 0.5 config-get ratio
says 0.5 config-get --format=json ratio
for name in unset unheard-of; do
    prints '' config-get "$name"
    prints '' config-get --format=yaml "$name"
    says null config-get --format=json "$name"
done
call config-get
[ "$out" = "number: 5
ratio: 0.5
reboot: $(config-get reboot --format=yaml)
record: $(config-get record)
text: swordfish
truth: true
" ] || wrong "config-get should print all that is set"
call config-get -a --format=yaml
[[ $out == *$'\nunset: null\n'* ]] || wrong "config-get -a should print what is not set"
call config-get --all --format=json
[[ $out == '{"number":5,"ratio":0.5,"reboot":'*',"record":"'*'","text":"swordfish","truth":true,"unset":null}'$'\n' ]] ||
    wrong "config-get --all should print compact JSON"
does config-get text --output .output
[ "$(cat .output)" = swordfish ] || wrong "config-get --output should write a file"
misuses config-get text --all
misuses config-get text truth
fails 2 'unrecognized args: ["truth"]' config-get text truth
fails 2 'option provided but not defined: --bogus' config-get --bogus text
fails 2 'option needs an argument: --format' config-get --format
fails 2 'invalid value "xml" for option --format: unknown format "xml"' config-get --format xml text
call config-get --help
[ "$code" = 0 ] && [[ $out == "Usage: config-get "* ]] || wrong "config-get --help should tell its usage"
