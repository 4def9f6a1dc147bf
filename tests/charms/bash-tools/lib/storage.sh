resembles 'cache/[0-9]+' storage-list
cache=$(storage-list cache)
says "[\"$cache\"]" storage-list --format=json
prints '' storage-list unheard-of
says '[]' storage-list --format=json unheard-of
place=$(storage-get -s "$cache" location)
[ -d "$place" ] || wrong "storage-get should say where the storage is"
says filesystem storage-get kind -s "$cache"
says $'kind: filesystem\nlocation: '"$place" storage-get -s "$cache"
says "{\"kind\":\"filesystem\",\"location\":\"$place\"}" storage-get --format=json -s "$cache"
fails 1 'invalid storage attribute "colour", expected kind or location' storage-get -s "$cache" colour
misuses storage-get
misuses storage-get -s cache
misuses storage-get -s cache/99
misuses storage-list cache surplus
misuses storage-add
misuses storage-add cache=0
misuses storage-add cache=many
misuses storage-add Cache
misuses storage-add cache cache
