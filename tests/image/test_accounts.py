"""What USER, ENV and RUNAS do in a guest, looked at from inside one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.pack import hash_password, place
from tests.image.machine import Machine, make_seed
from tests.pack.conftest import BASE, Bench

pytestmark = pytest.mark.vm
FORMFILE = r"""
INSTALL busybox openssh-server sudo systemd
USER username:ann passwd:pass-of-ann sudo:on disable_root:on groups:video,crew \
  ssh_authorized_keys:"ssh-ed25519 AAAA ann@host,ssh-ed25519 BBBB ann@other" \
  shell:/bin/sh
USER username:ben passwd:pass-of-ben ssh_pwauth:on
USER username:cat passwd:pass-of-cat lock_passwd:on chpasswd_expire:on
USER username:www-data groups:crew shell:/usr/bin/bash
ENV PLAIN="it's \\n 100% \"so\""
ENV --scope=user:ben OWN="ben's $HOME \\n"
ENV --scope=service:agent ONLY=agent
ENV --scope=service:greeter GREETING="it's 100% \"so\" \\n"
VOLUME /data
WORKDIR /srv/made
RUNAS ben
"""
UNIT = """
RUN printf '[Service]\\nType=oneshot\\nRemainAfterExit=on\\nExecStart=/usr/bin/env\\n' \
  > /etc/systemd/system/greeter.service; \
  ln -s ../greeter.service \
    /etc/systemd/system/multi-user.target.wants/greeter.service
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="formation-pack-", dir="/var/tmp") as name:
        Path(name).chmod(0o711)  # a build's user must reach its layers
        made = Bench(Path(name))
        yield made
        place.vacate(made.layers)


@pytest.fixture(scope="module")
def guest(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("accounts")
    page = "mkdir -p www; env > www/env; exec busybox httpd -f -p 8000 -h www"
    text = f"{FORMFILE}{UNIT}"
    image = bench.build(text, entrypoint=f"ENTRYPOINT {page}\n").path
    volume = folder / "volume.img"
    with volume.open("wb") as file:
        file.truncate(64 << 20)
    users = ("ann", "ben", "cat")
    hashes = {name: hash_password(f"pass-of-{name}") for name in users}
    shadow = "".join(
        f"{name}:{'!' if name == 'cat' else ''}{hashed}\n"
        for name, hashed in hashes.items()
    )
    files = {
        "network": b"ADDRESS=10.0.2.15/24\nGATEWAY=10.0.2.2\nDNS=10.0.2.3\n",
        "shadow": shadow.encode(),
        "expire": b"cat\n",
        "volumes": b"vol1 /data\n",
    }
    seed = make_seed(folder / "seed.tar", files)
    machine = Machine(BASE, folder, image, seed, volume).start()
    machine.get("/env", timeout=90)
    machine.wait_shell("test -e /var/lib/formation/host-keys")
    yield machine
    machine.close()


def test_users_have_their_groups_shells_and_keys(guest: Machine) -> None:
    assert guest.shell("id -nG ann").split() == ["ann", "video", "crew"]
    assert "crew" in guest.shell("id -nG www-data")
    assert guest.shell("getent passwd ann | cut -d: -f6,7") == "/home/ann:/bin/sh\n"
    assert guest.shell("getent passwd www-data | cut -d: -f7") == "/usr/bin/bash\n"
    assert guest.shell("stat -c '%U %a' /home/ann/.ssh/authorized_keys") == "ann 600\n"
    assert "ann@other" in guest.shell("tail -n 1 /home/ann/.ssh/authorized_keys")


def test_passwords_are_those_of_the_seed(guest: Machine) -> None:
    shadow = dict(
        line.split(":")[:2] for line in guest.shell("cat /etc/shadow").splitlines()
    )
    assert shadow["ann"].startswith("$")
    assert shadow["cat"].startswith("!$")
    assert shadow["www-data"] == "*"
    assert "must be changed" in guest.shell("LC_ALL=C chage -l cat")
    assert "must be changed" not in guest.shell("LC_ALL=C chage -l ann")


def test_sudo_becomes_root_whose_own_login_is_off(guest: Machine) -> None:
    assert guest.shell("su ann -c 'sudo -n -i id -un'") == "root\n"
    assert guest.shell("su ben -c 'sudo -n true' 2>/dev/null || echo no") == "no\n"
    assert guest.shell("passwd -S root | cut -d' ' -f2") == "L\n"
    assert guest.shell("getent passwd root | cut -d: -f7") == "/bin/bash\n"


def test_sshd_takes_passwords_of_those_who_asked(guest: Machine) -> None:
    def setting(user: str, name: str) -> str:
        where = f"user={user},host=h,addr=10.0.0.1"
        said = guest.shell(f"/usr/sbin/sshd -T -C {where} | grep -i '^{name} '")
        return said.split()[1]

    assert setting("ann", "passwordauthentication") == "no"
    assert setting("ben", "passwordauthentication") == "yes"
    assert setting("ann", "permitrootlogin") == "no"


def test_each_scope_reaches_what_it_names(guest: Machine) -> None:
    plain = 'PLAIN=it\'s \\n 100% "so"'
    agent = guest.get("/env").splitlines()
    assert {plain, "ONLY=agent", "OWN=ben's $HOME \\n", "USER=ben"} <= set(agent)
    assert plain in guest.shell("su -l ann -c env").splitlines()
    assert "OWN=ben's $HOME \\n" in guest.shell("su -l ben -s /bin/sh -c env")
    assert "OWN" not in guest.shell("su -l ann -c env")
    greeter = guest.shell("journalctl -o cat -u greeter").splitlines()
    assert 'GREETING=it\'s 100% "so" \\n' in greeter
    assert plain in greeter
    assert not any(line.startswith("ONLY") for line in greeter)


def test_new_folders_belong_to_the_agent(guest: Machine) -> None:
    assert guest.shell("stat -c %U /srv/made /data").split() == ["ben", "ben"]


def test_what_a_user_chose_outlives_a_reboot(guest: Machine) -> None:
    seen = len(guest.lines)
    guest.shell("usermod -p '$6$own$hash' cat; chage -d 20000 cat; sync")
    guest.shell("nohup sh -c 'sleep 0.2; reboot' >/dev/null 2>&1 &")
    guest.wait_line("formation: agent started", seen, timeout=120)
    guest.wait_shell("! test -e /run/formation/seed/shadow")
    said = guest.shell("grep ^cat: /etc/shadow | cut -d: -f2,3")
    assert said == "$6$own$hash:20000\n"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("USER username:ann shell:/bin/zsh", "/bin/zsh is not in the image"),
        ("ENV --scope=user:nobody2 A=b", "there is no such user"),
    ],
)
def test_what_cannot_be_made_ends_the_build(
    bench: Bench, line: str, sentence: str
) -> None:
    assert sentence in bench.refusal(line)


def test_a_service_without_systemd_is_warned_of(bench: Bench) -> None:
    bench.build("ENV --scope=service:nginx A=b")
    assert any("service:nginx has no effect" in line for line in bench.lines)
