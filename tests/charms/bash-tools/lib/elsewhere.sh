resembles 'units:.  bash-tools/0:.    status: [a-z]+.    since: [-0-9]+ [:0-9]+Z.*' goal-state
resembles '[{]"units":[{]"bash-tools/0":[{]"status":"[a-z]+","since":"[-0-9]+ [:0-9]+Z"[}][}].*' goal-state --format=json
misuses goal-state surplus
misuses goal-state --format smart
call credential-get
[ "$code" = 1 ] && [ -z "$out" ] && [[ $err == "ERROR cannot access cloud credentials: "* ]] ||
    wrong "an application that is not trusted should see no credential"
for tool in action function; do
    fails 1 'not running an action' $tool-get
    fails 1 'not running an action' $tool-get word
    fails 1 'not running an action' $tool-set a=b
    fails 1 'not running an action' $tool-fail
    fails 1 'not running an action' $tool-log x
done
call add-metric things=1
[ "$code" = 1 ] && [ -z "$out" ] && [[ $err == "ERROR cannot "*metric* ]] || wrong "there are no metrics in hooks"
misuses add-metric
misuses add-metric things
