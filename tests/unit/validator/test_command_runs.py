"""The command over several chains, with heads, state files and bundles."""

import json
import shutil

import pytest

from opentrail_validator.command import main
from tests.evidence_maker.heads import made_head
from tests.evidence_maker.layouts import lay_kept, lay_plain
from tests.evidence_maker.maker import Chain, change_content
from tests.unit.validator.directory_runs import BEGIN, KEY, at, run

ORGANIZATION = "o-exampleorg1"
ACCOUNTS = ("111122223333", "444455556666")
REGIONS = ("eu-west-1", "us-east-1")


def organization(hours=2):
    """Two accounts, two regions, one trail; the chains by account and region."""
    objects = {}
    chains = {
        (account, region): Chain(objects, organization=ORGANIZATION, account=account, region=region).hours(hours)
        for account in ACCOUNTS
        for region in REGIONS
    }
    return objects, chains


def run_all(objects, root, pinned, *more, hours=2):
    lay_plain(objects, root)
    first = Chain(organization=ORGANIZATION)
    return run(first, root, pinned, "--organization-id", ORGANIZATION, *more, hours=hours)


ALL = ["--all-accounts", "--all-regions"]


# --- Many chains


def test_all_accounts_and_regions_in_one_run_in_one_order(tmp_path, pinned, capsys):
    objects, _ = organization()
    assert run_all(objects, tmp_path / "d", pinned, *ALL, "--verbose") == 0
    out, err = capsys.readouterr()
    headings = [line for line in out.splitlines() if line.endswith("(trail audit)")]
    assert headings == [f"{account} in {region} (trail audit)" for account in ACCOUNTS for region in REGIONS]
    assert out.count("2/2 digest files valid") == 4
    assert "\nCovered:      4 of 4 chains wholly\n" in out
    assert err == ""
    assert run_all(objects, tmp_path / "d", pinned, *ALL, "--verbose") == 0
    assert capsys.readouterr().out == out


def test_one_bad_chain_among_many_is_named_and_the_others_are_told_too(tmp_path, pinned, capsys):
    objects, chains = organization()
    place = chains["444455556666", "eu-west-1"].logs[1]
    change_content(objects, place, b"Get", b"Put")
    assert run_all(objects, tmp_path / "d", pinned, *ALL, "--output", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [finding["key"] for finding in document["findings"]] == [place[1]]
    assert [chain["verdict"] for chain in document["chains"]] == ["valid", "valid", "invalid", "valid"]
    assert document["summary"]["affected"]["accounts"] == ["444455556666"]


def test_named_accounts_and_regions_are_asked_for_also_where_there_is_nothing(tmp_path, pinned, capsys):
    objects, _ = organization()
    named = ["--account-id", "444455556666,999999999999", "--region", "us-east-1"]
    assert run_all(objects, tmp_path / "d", pinned, *named) == 1
    out, err = capsys.readouterr()
    assert "444455556666 in us-east-1" in out
    assert "999999999999/CloudTrail-Digest/us-east-1/\tINVALID: no digest file was found" in err


def test_several_trails(tmp_path, pinned, capsys):
    objects, _ = organization()
    second = Chain(objects, organization=ORGANIZATION, trail="second").hours(2)
    assert run_all(objects, tmp_path / "d", pinned, "--trail-arn", second.arn) == 0
    out = capsys.readouterr().out
    assert "(trail audit)" in out
    assert "(trail second)" in out


def test_a_bucket_that_was_emptied_is_not_valid_because_there_is_nothing_to_find(tmp_path, pinned, capsys):
    assert run_all({}, tmp_path / "d", pinned, *ALL) == 3  # there is not even the directory
    (tmp_path / "d").mkdir()
    assert run_all({}, tmp_path / "d", pinned, *ALL) == 1
    assert "no digest file was found" in capsys.readouterr().err


# --- Heads


def heads_file(tmp_path, *heads):
    file = tmp_path / "heads.json"
    file.write_text(json.dumps({"Heads": heads}))
    return str(file)


def test_the_newest_digest_that_was_removed_is_seen_by_its_head(tmp_path, pinned, capsys):
    chain = Chain().hours(3)
    head = made_head(chain, chain.digests[-1])
    lay_kept(chain.objects, tmp_path / "d")
    assert run(chain, tmp_path / "d", pinned, "--heads", heads_file(tmp_path, head)) == 0
    assert "Heads:        checked 1, of the file " in capsys.readouterr().out
    bucket, key = chain.digests[-1]
    (tmp_path / "d" / bucket / key).unlink()
    flags = ["--heads", heads_file(tmp_path, head), "--no-require-coverage"]
    assert run(chain, tmp_path / "d", pinned, *flags) == 1
    assert f"{key}\tINVALID: removed: a signed head names it" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["file", "directory"])
def test_a_chain_that_was_removed_as_a_whole_is_asked_for_because_a_head_tells_of_it(layout, tmp_path, pinned, capsys):
    objects, chains = organization()
    gone = chains["444455556666", "us-east-1"]
    head = made_head(gone, gone.digests[-1])
    if layout == "file":
        heads = heads_file(tmp_path, head)
    else:
        key = gone.digests[-1][1].replace("CloudTrail-Digest", "OpenTrail-Head").removesuffix(".gz")
        file = tmp_path / "heads" / key
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(head))
        heads = str(tmp_path / "heads")
    kept = {place: made for place, made in objects.items() if "/444455556666/" not in place[1]}
    assert run_all(kept, tmp_path / "d", pinned, *ALL) == 0
    assert run_all(kept, tmp_path / "d", pinned, *ALL, "--heads", heads) == 1
    out = capsys.readouterr().out
    assert "444455556666 in us-east-1 (trail audit)" in out
    assert f"Heads:        checked 1, of the {layout} {heads}\n" in out


# --- State


def test_an_hourly_run_reads_only_what_is_new_and_full_reads_all(tmp_path, pinned, capsys):
    chain = Chain().hours(3)
    lay_kept(chain.objects, tmp_path / "d")
    state = ["--state", str(tmp_path / "state.json")]
    assert run(chain, tmp_path / "d", pinned, *state) == 0
    chain.hours(1)
    lay_kept(chain.objects, tmp_path / "d")
    capsys.readouterr()
    assert run(chain, tmp_path / "d", pinned, *state) == 0
    out = capsys.readouterr().out
    assert "1/1 digest files valid\n2/2 log files valid" in out
    assert "2026-03-01T10:07:31Z to 2026-03-01T14:07:31Z (up to 2026-03-01T13:07:31Z by a run before)" in out
    assert run(chain, tmp_path / "d", pinned, *state, "--full") == 0
    assert "4/4 digest files valid\n8/8 log files valid" in capsys.readouterr().out


def test_a_run_that_found_something_does_not_move_the_state(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    lay_kept(chain.objects, tmp_path / "d")
    for flags in ([], ["--full"], []):
        assert run(chain, tmp_path / "d", pinned, "--state", str(tmp_path / "s"), *flags) == 1
        assert "hash value" in capsys.readouterr().err


def test_a_chain_that_the_state_file_knows_is_asked_for_when_it_has_gone(tmp_path, pinned, capsys):
    objects, _ = organization()
    state = ["--state", str(tmp_path / "state.json"), *ALL]
    assert run_all(objects, tmp_path / "d", pinned, *state) == 0
    shutil.rmtree(tmp_path / "d")
    kept = {place: made for place, made in objects.items() if "/444455556666/" not in place[1]}
    assert run_all(kept, tmp_path / "d", pinned, *state) == 1
    assert "444455556666 in eu-west-1" in capsys.readouterr().out


def test_a_state_file_that_is_none_is_told_and_everything_is_read(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path / "d")
    state = tmp_path / "state.json"
    state.write_text("{}")
    assert run(chain, tmp_path / "d", pinned, "--state", str(state)) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"State file\t{state}\tINVALID: ")
    assert "2/2 digest files valid" in out
    assert run(chain, tmp_path / "d", pinned, "--state", str(state)) == 0  # it was written anew


@pytest.mark.parametrize(("is_valid", "code"), [(True, 3), (False, 1)])
def test_a_state_file_that_cannot_be_written_does_not_make_invalid_evidence_unchecked(
    is_valid, code, tmp_path, pinned, capsys
):
    chain = Chain().hours(2)
    if not is_valid:
        change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    lay_kept(chain.objects, tmp_path / "d")
    assert run(chain, tmp_path / "d", pinned, "--state", str(tmp_path / "no" / "folder" / "state.json")) == code
    assert "could not be written" in capsys.readouterr().err


# --- Bundles


def collected(tmp_path, pinned, capsys, *more, encrypted=False):
    """A run on an altered chain that collects, and its output."""
    chain = Chain().hours(3)
    change_content(chain.objects, chain.logs[2], b"Get", b"Put")
    del chain.objects[chain.digests[0]]
    lay_kept(chain.objects, tmp_path / "d", KEY if encrypted else None)
    if encrypted:
        import base64

        (tmp_path / "storage.key").write_bytes(base64.b64encode(KEY))
        more = (*more, "--storage-key", str(tmp_path / "storage.key"))
    assert run(chain, tmp_path / "d", pinned, "--collect", str(tmp_path / "b"), *more) == 1
    return chain, *capsys.readouterr()


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_bundle_needs_nothing_else_and_says_the_same(encrypted, tmp_path, pinned, capsys):
    chain, out, err = collected(tmp_path, pinned, capsys, encrypted=encrypted)
    assert f"Note:         the evidence is kept in {tmp_path / 'b'}\n" in out
    shutil.rmtree(tmp_path / "d")
    shutil.move(tmp_path / "b", tmp_path / "moved")
    assert main(["--from", str(tmp_path / "moved")]) == 1
    again, said = capsys.readouterr()
    assert said == err
    assert again.partition("\nCovered:")[0] == out.partition("\nCovered:")[0]
    believed = "Public keys:  1, which came with the bundle; believed, for none were pinned with --public-keys\n"
    assert believed in again
    assert main(["--from", str(tmp_path / "moved"), "--public-keys", str(pinned)]) == 1
    assert f"Public keys:  1, pinned in {pinned}\n" in capsys.readouterr().out
    assert chain.logs[2][1] in said


def test_a_bundle_of_many_chains_can_be_narrowed(tmp_path, pinned, capsys):
    objects, _ = organization()
    assert run_all(objects, tmp_path / "d", pinned, *ALL, "--collect", str(tmp_path / "b")) == 0
    assert main(["--from", str(tmp_path / "b")]) == 0
    assert "4 of 4 chains wholly" in capsys.readouterr().out
    assert main(["--from", str(tmp_path / "b"), "--account-id", "444455556666", "--region", "us-east-1"]) == 0
    assert "AWSLogs" not in capsys.readouterr().err
    wrong = ["--account-id", "999999999999", "--region", "mars-1", "--start-time", "2026-01-01"]
    assert main(["--from", str(tmp_path / "b"), *wrong]) == 2
    assert capsys.readouterr().err.split("\n")[1:3] == [
        "--account-id 999999999999 is not in this bundle",
        "--region mars-1 is not in this bundle",
    ]
    later = ["--from", str(tmp_path / "b"), "--region", "us-east-1", "--start-time", "2026-01-01"]
    assert main(later) == 2
    assert "--start-time is before the time that the bundle was collected for" in capsys.readouterr().err


def test_a_bundle_keeps_which_checks_were_off(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path / "d")
    flags = ["--collect", str(tmp_path / "b"), "--no-unlisted", "--no-require-coverage"]
    assert run(chain, tmp_path / "d", pinned, *flags, hours=9) == 0
    capsys.readouterr()
    assert main(["--from", str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert "(--no-unlisted)" in out
    assert "(--no-records)" not in out
    assert main(["--from", str(tmp_path / "b"), "--require-coverage", "--no-records"]) == 1
    assert "(--no-records)" in capsys.readouterr().out


def test_a_bundle_has_the_heads_too(tmp_path, pinned, capsys):
    chain = Chain().hours(3)
    heads = heads_file(tmp_path, made_head(chain, chain.digests[-1]))
    del chain.objects[chain.digests[-1]]
    lay_kept(chain.objects, tmp_path / "d")
    assert run(chain, tmp_path / "d", pinned, "--heads", heads, "--collect", str(tmp_path / "b")) == 1
    err = capsys.readouterr().err
    assert "a signed head names it" in err
    assert main(["--from", str(tmp_path / "b")]) == 1
    out, again = capsys.readouterr()
    assert again == err
    assert "Heads:        checked 1, of those that came with the bundle\n" in out


def test_what_is_no_bundle_or_no_place_for_one(tmp_path, pinned, capsys):
    assert main(["--from", str(tmp_path)]) == 3
    assert "is no evidence bundle" in capsys.readouterr().err
    (tmp_path / "d").mkdir()
    assert run(Chain(), tmp_path / "d", pinned, "--collect", str(tmp_path)) == 3
    assert "is not empty" in capsys.readouterr().err


def test_a_collection_that_could_not_begin_leaves_no_bundle(tmp_path, capsys):
    chain = Chain().hours(1)
    lay_kept(chain.objects, tmp_path / "d")
    flags = [*at(chain, 1), "--s3-bucket", chain.bucket, "--directory", str(tmp_path / "d"), "--collect"]
    assert main([*flags, str(tmp_path / "b"), "--public-keys", str(tmp_path / "absent")]) == 3
    assert "absent" in capsys.readouterr().err
    assert BEGIN
    assert main(["--from", str(tmp_path / "b")]) == 3
