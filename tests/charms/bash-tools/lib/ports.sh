does open-port 80
does open-port 8000-8010/UDP
does open-port ICMP
does open-port 443/tcp --endpoints talk,ring
says $'icmp\n80/tcp\n443/tcp\n8000-8010/udp' opened-ports
says '["icmp","80/tcp","443/tcp","8000-8010/udp"]' opened-ports --format=json
says $'icmp (*)\n80/tcp (*)\n443/tcp (ring, talk)\n8000-8010/udp (*)' opened-ports --endpoints
does close-port 8000-8010/udp
does close-port icmp
does close-port 443
does close-port 999
says 80/tcp opened-ports
misuses open-port
misuses open-port 80 81
misuses open-port 0
misuses open-port 65536
misuses open-port 90-80
misuses open-port 80/sctp
misuses open-port eighty
misuses close-port 80/
misuses opened-ports surplus
