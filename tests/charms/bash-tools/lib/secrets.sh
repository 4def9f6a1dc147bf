printf 'from\na file' >.value
resembles 'secret:[0-9a-v]{20}' secret-add plain=text coded#base64=Y29kZWQ= filed#file=.value \
    --label mine --description 'of mine' --rotate monthly --expire 2099-12-31 --owner unit
secret=${out%$'\n'} id=${out#secret:}
id=${id%$'\n'}
says $'coded: coded\nfiled: |-\n  from\n  a file\nplain: text' secret-get "$secret"
says '{"coded":"coded","filed":"from\na file","plain":"text"}' secret-get --label mine --format=json
says text secret-get "$id" plain
says Y29kZWQ= secret-get "secret://$JUJU_MODEL_UUID/$id" 'coded#base64'
says '"text"' secret-get "$id" plain --format=json
fails 1 'secret key "none" not found' secret-get "$id" none
fails 1 'secret "nobody" not found' secret-get --label nobody
fails 1 'secret "00000000000000000000" not found' secret-get secret:00000000000000000000
fails 2 'require either a secret URI or label' secret-get
misuses secret-get "$id" --peek --refresh
call secret-ids
[[ $'\n'$out == *$'\n'"$id"$'\n'* ]] || wrong "secret-ids should have $id on a line"
call secret-ids --format=json
[[ $out == '['*"\"$id\""*']'$'\n' ]] || wrong "secret-ids should have $id"
resembles "$id:.  revision: 1.  label: mine.  owner: unit.  description: of mine.  rotation: monthly.  expiry: 2099-12-31T00:00:00Z" secret-info-get "$id"
call secret-info-get --label mine --format=json
[[ $out == "{\"$id\":{\"revision\":1,\"label\":\"mine\",\"owner\":\"unit\","* ]] || wrong "secret-info-get by label"
misuses secret-info-get
misuses secret-info-get "$id" --label mine
does secret-set "$id" plain=new
# What this hook has made has one revision, the first.
says 'plain: new' secret-get "$id"
says new secret-get "$id" plain --peek
says new secret-get "$id" plain --refresh
call secret-info-get "$id"
[[ $out == *$'\n  revision: 1\n'* ]] || wrong "secret-set of what is new makes no revision"
does secret-set "$id" --label yours
says 'plain: new' secret-get --label yours
misuses secret-set
misuses secret-set "$id" plain
misuses secret-set "$id" --rotate often
misuses secret-set "$id" --expire never
misuses secret-add
misuses secret-add alone
misuses secret-add a=b --owner somebody
misuses secret-grant "$id"
misuses secret-revoke "$id"
misuses secret-remove
misuses secret-remove "$id" --revision zero
does secret-remove "$secret"
fails 1 "secret \"$id\" not found" secret-get "$id"
fails 1 "secret \"$id\" not found" secret-remove "$id"
call secret-ids
[ "$code" = 0 ] && [[ $out != *"$id"* ]] || wrong "secret-ids should not have $id any more"
