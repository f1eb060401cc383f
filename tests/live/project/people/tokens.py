"""JSON Web Tokens of this project."""

from dtws_sio.authenticators import JWTAuthenticator

KEY = "a key that is long enough for HS256"


class Machine(JWTAuthenticator):
    """For this site's machines only."""

    verification_key = KEY
    audience = "people"
