does status-set maintenance "working -- on it"
does status-set --application=True waiting -- "--for it"
does status-set active
does application-version-set -- 1.2.3
misuses application-version-set
misuses application-version-set 1 2
misuses status-set
misuses status-set active a b
fails 2 'invalid status "bad", expected one of [maintenance blocked waiting active]' status-set bad
fails 2 'invalid status "error", expected one of [maintenance blocked waiting active]' status-set error "it is"
resembles '[a-z]+' status-get
resembles '[{]"status":"[a-z]+"[}]' status-get --format=json
resembles 'message: .*status: [a-z]+.status-data: [{][}]' status-get --include-data
resembles '[{]"message":".*","status":"[a-z]+","status-data":[{][}][}]' status-get --include-data --format json
resembles '[a-z]+' status-get --application
resembles 'application-status:.*units:.*status: [a-z]+' status-get --service --format=yaml
misuses status-get surplus
