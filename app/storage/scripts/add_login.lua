-- @include clock
-- @include operators
-- Begins a login. ARGV: operator, hash of the login, of the login that it replaces, lifetime.
add_login(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
return 1
