does state-set a=1 b="x = y" empty=
says 1 state-get a
says '"x = y"' state-get b --format=json
prints '' state-get c
says '""' state-get c --format=json
fails 1 '"c" not found' state-get c --strict
call state-set --file - b=overridden <<<ignored
printf '{c: "3", b: from the file}' >.settings
does state-set --file .settings b=overridden
says overridden state-get b
says 3 state-get c
does state-delete b
does state-delete never
does state-delete empty
says '{"a":"1","c":"3"}' state-get --format=json
says $'a: "1"\nc: "3"' state-get -
does state-delete a
does state-delete c
misuses state-set alone
misuses state-get a b
misuses state-delete a b
