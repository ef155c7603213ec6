#!/bin/sh
# Makes what TLS needs, for 90 days: a certificate authority, a server's and a client's certificate,
# and the ssl.config that both tensorflow_model_server and serving/server.py read.
#
#   sh serving/make_tls.sh tls DNS:serving.example.com,IP:127.0.0.1
#
# Clients need ca.pem, client.pem and client-key.pem; the server only ssl.config. Without the last
# line of it a client needs no certificate.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
    -subj "/CN=tfgates authority" -keyout ca-key.pem -out ca.pem
for who in server client; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj "/CN=tfgates $who" -keyout "$who-key.pem" -out "$who.csr"
    echo "subjectAltName=$2" > "$who.ext"
    openssl x509 -req -in "$who.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 90 \
        -extfile "$who.ext" -out "$who.pem"
    rm "$who.csr" "$who.ext"
done

# The texts of the files, not their paths, as lines in quotes.
text() {
    sed 's/.*/    "&\\n"/' "$1"
}
{
    echo "server_key:" && text server-key.pem
    echo "server_cert:" && text server.pem
    echo "custom_ca:" && text ca.pem
    echo "client_verify: true"
} > ssl.config
