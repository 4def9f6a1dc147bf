says True is-leader
says true is-leader --format=json
says true is-leader --format yaml
misuses is-leader surplus
does leader-set a=1 b="x = y" c=
says 1 leader-get a
says 'x = y' leader-get b
prints '' leader-get c
says null leader-get c --format=json
says '{"a":"1","b":"x = y"}' leader-get --format=json -
says $'a: "1"\nb: x = y' leader-get
does leader-set b=
says '{"a":"1"}' leader-get --format=json
misuses leader-set alone
misuses leader-get a=b
misuses leader-get a b
