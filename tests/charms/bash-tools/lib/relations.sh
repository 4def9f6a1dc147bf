# What they say within a relation is looked at in the hooks of relations.
resembles 'ring:[0-9]+' relation-ids ring
prints '' relation-ids unheard-of
says '[]' relation-ids --format=json unheard-of
fails 2 'no endpoint name specified' relation-ids
fails 2 'no relation id specified' relation-list
fails 2 'no relation id specified' relation-get token
fails 2 'no relation id specified' relation-set a=b
fails 2 'no relation id specified' relation-model-get
fails 2 'invalid value "9999" for option -r: relation not found' relation-list -r 9999
fails 2 'invalid value "talk:9999" for option -r: relation not found' relation-get -r talk:9999 token
fails 2 'invalid value "talk:x" for option -r: invalid relation id' relation-set -r talk:x a=b
call relation-set --help
[ "$code" = 0 ] && [[ $out == *--file* ]] || wrong "charmhelpers looks for --file in the help of relation-set"
ring=$(relation-ids ring)
prints '' relation-list -r "$ring"
says '[]' relation-list --format=json -r "${ring#ring:}"
says bash-tools relation-list -r "$ring" --app
does relation-set -r "$ring" --app leader="$JUJU_UNIT_NAME" gone=
says "{\"leader\":\"$JUJU_UNIT_NAME\"}" relation-get -r "$ring" --format=json --app - bash-tools
says "$JUJU_UNIT_NAME" relation-get -r "$ring" --app leader "$JUJU_UNIT_NAME"
