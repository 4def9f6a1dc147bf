address=$(unit-get private-address)
says "\"$address\"" unit-get --format=json private-address
resembles '.+' unit-get public-address
misuses unit-get
misuses unit-get name
for binding in talk ring backup juju-info; do
    says "$address" network-get "$binding" --bind-address
    says "$address" network-get "$binding" --ingress-address
    says "$address" network-get --primary-address "$binding"
done
resembles '.+/[0-9]+' network-get talk --egress-subnets
resembles "bind-address: ${address//./\\.}.ingress-address: ${address//./\\.}" \
    network-get talk --bind-address --ingress-address
resembles '[{]"bind-addresses":\[[{]"mac-address":.*"interface-name":.*"addresses":\[[{]"hostname":"","value":".*' \
    network-get talk --format json
call network-get talk --format yaml
for word in mac-address macaddress interface-name interfacename value address cidr egress-subnets ingress-addresses; do
    [[ $out == *"$word:"* ]] || wrong "network-get should print $word in YAML"
done
misuses network-get
misuses network-get ''
fails 1 'no network config found for binding "nowhere"' network-get nowhere
fails 1 '--primary-address must be the only flag specified' network-get talk --primary-address --bind-address
fails 2 'invalid value "9999" for option -r: relation not found' network-get talk -r 9999
