vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@origin@";
}

# A signed request is looked up like any other; Varnish's own rules would pass
# it on.
sub vcl_recv {
    unset req.http.Authorization;
    return (hash);
}

sub vcl_backend_response {
    set beresp.ttl = 1d;
}
