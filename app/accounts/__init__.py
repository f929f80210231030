"""Accounts: logging in, forgotten passwords, confirmed addresses, second factors, devices.

Written by `bin/sixorbit make:auth`; from here on it is yours. What happens behind the pages is
in the framework (docs/authentication.md).
"""
