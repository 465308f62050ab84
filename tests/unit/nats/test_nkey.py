"""Keys of NATS: seeds read, or refused without being repeated; nonces signed."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from faasd_async.nats import BadCredentials
from faasd_async.nats.nkey import NKey, read_credentials_file, read_nkey_file

#: The pair that NATS' own documentation has as its example.
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

CREDENTIALS = f"""-----BEGIN NATS USER JWT-----
eyJ.eyJ.sig
------END NATS USER JWT------

************************* IMPORTANT *************************

-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


def test_the_public_half() -> None:
    """It is what the documentation says of this seed."""
    assert NKey.from_seed(SEED).public == PUBLIC


def test_a_signature() -> None:
    """Ed25519's of the nonce, in base 64 for URLs, without padding."""
    key = NKey.from_seed(SEED)
    signature = key.sign("a nonce")
    assert "=" not in signature
    public = Ed25519PrivateKey.from_private_bytes(key.secret).public_key()
    public.verify(urlsafe_b64decode(signature + "=="), b"a nonce")


@pytest.mark.parametrize(
    ("seed", "why"),
    [
        (SEED.replace("UAHU", "UAHV"), "checksum"),
        (SEED[:20], "bytes"),
        ("SU1!", "base 32"),
        ("SAAFYOZ5YU2UCBIPVFZVCL2P2VGDPQYVYF7DYBRJPZWKDLTWDCCQRSQSJQ", "checksum|no user's"),
        (PUBLIC, "bytes"),
    ],
)
def test_no_seed(seed: str, why: str) -> None:
    """The text says what is wrong, and does not repeat it."""
    with pytest.raises(BadCredentials, match=why) as caught:
        NKey.from_seed(seed)
    assert seed not in str(caught.value)


def test_files(tmp_path: Path) -> None:
    """A seed among comments; a seed and a JWT as nsc writes them. Neither shows in a text."""
    (tmp_path / "user.nk").write_text(f"# mine\n{SEED}\n")
    (tmp_path / "user.creds").write_text(CREDENTIALS)
    by_key = read_nkey_file(str(tmp_path / "user.nk"))
    by_jwt = read_credentials_file(str(tmp_path / "user.creds"))
    assert by_key.options("n").keys() == {"nkey", "sig"}
    assert by_key.options("n")["nkey"] == PUBLIC
    assert by_jwt.options("n") == {"jwt": "eyJ.eyJ.sig", "sig": by_key.options("n")["sig"]}
    assert "eyJ" not in repr(by_jwt)
    assert repr(NKey.from_seed(SEED).secret) not in repr(by_jwt)


@pytest.mark.parametrize("text", [None, "", "SU", "\xff", CREDENTIALS.replace("JWT", "X")])
def test_no_such_files(tmp_path: Path, text: str | None) -> None:
    """The file is named."""
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text, "latin-1")
    with pytest.raises(BadCredentials, match=str(path)):
        read_credentials_file(str(path))
