"""`onesource audit verify | prove | checkpoint | witness`: the ledger's proofs, from its store and without a running service.

A witness has no store and no settings: it asks the service over HTTP, or is handed a file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer

from app import ledger_store, ledger_urls
from audit.archive import ArchivedStore
from audit.checkpoint import (
    CheckpointError,
    SigningFailed,
    opened,
    read_log_key,
    read_signer,
    read_witness_key,
    signed_by,
)
from audit.integrator import LATEST, export, tree_of
from audit.merkle import HashesMissing, TreeHash
from audit.proof import ProofError, carried, consistency, place_of
from audit.proof import prove as proof_of
from audit.store import Store, StoreUnavailable
from audit.verify import Report, Source
from audit.verify import verify as verify_store
from audit.verify_offline import Checkpoint, Key, parse_checkpoint
from audit.witness import Refused, attest, last_seen, parse_request
from schema.errors import CODES
from settings import FILE, Settings
from terminal.client import REFUSED, UNREACHABLE, WRONG_USE, address, err, out, plain
from terminal.options import SettingsFile, settings_of, wrong

_MOST_SHOWN = 50

Keys = Annotated[
    list[Path] | None, typer.Option("--key", help="A public key of the ledger beside those of the settings.")
]
Witnesses = Annotated[
    list[Path] | None, typer.Option("--witness", help="A public key of a witness beside those of the settings.")
]


def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that you have kept yourself: records up to it are proven.")
    ] = None,
    key: Keys = None,
    witness: Witnesses = None,
    records: Annotated[
        bool, typer.Option("--records", help="Not the own lists of data subjects: four times as quick.")
    ] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Check the whole ledger: records, tree, every checkpoint kept, exported, or given here, the dictionary of items, and own lists.

    Names the first wrong record or range. Records after the last witnessed checkpoint, or the last one given here, are unproven.
    Exit code 1 if anything is wrong.
    """
    loaded = settings_of(settings)
    more = [Source(_text(file), str(file), vouched=True) for file in checkpoint or ()]
    more += [Source(_text(file), file.name) for file in _exported(loaded)]
    keys, witnesses = _log_keys(loaded, key), keys_of((*loaded.ledger.witnesses, *(witness or ())), read_witness_key)
    for source in more:
        if source.vouched:
            _opened(source.text, keys, loaded.ledger.origin)
    with opened_store(loaded) as store:
        hashing, origin = TreeHash(loaded.ledger.hash), loaded.ledger.origin
        report = verify_store(store, hashing, origin, keys, witnesses, more, lists=not records)
    _show(report)
    if report.findings:
        raise typer.Exit(REFUSED)


def prove(
    record: Annotated[str, typer.Argument(help="A record's number, or its operation id.")],
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write; default: standard output.")] = None,
    witness: Witnesses = None,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Write the proof of one record, as audit/verify_offline.py checks it: under the newest witnessed checkpoint, else the newest."""
    loaded = settings_of(settings)
    witnesses = keys_of((*loaded.ledger.witnesses, *(witness or ())), read_witness_key)
    with opened_store(loaded) as store:
        proof = proof_of(store, TreeHash(loaded.ledger.hash), place_of(store, record), witnesses)
    _write(out_file, json.dumps(proof, ensure_ascii=False, indent=1) + "\n")


def checkpoint(
    size: Annotated[int | None, typer.Option(min=0, help="The checkpoint of this size; default: the latest.")] = None,
    since: Annotated[int | None, typer.Option(min=0, help="With the proof from this size, for a witness.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep and export this checkpoint, which a witness has cosigned.")
    ] = None,
    public_key: Annotated[bool, typer.Option("--public-key", help="Show the ledger's public key instead.")] = False,
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write; default: standard output.")] = None,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Show or write a checkpoint, take one back from a witness, or show the public key to check them with."""
    loaded = settings_of(settings)
    if public_key:
        _write(out_file, _own_key(loaded).text() + "\n")
        return
    with opened_store(loaded) as store:
        if keep is not None:
            _keep(loaded, store, _text(keep))
            return
        kept = store.last_checkpoint() if size is None else store.checkpoint_of(size)
        if kept is None:
            raise ProofError("CHECKPOINT_UNKNOWN")
        text = kept.text
        if since is not None:
            proof = consistency(store, TreeHash(loaded.ledger.hash), since, parse_checkpoint(text).size)
            text = carried(since, proof, text)
    _write(out_file, text)


def witness(
    source: Annotated[
        str, typer.Argument(help="The service's address (http ...), or a file of `audit checkpoint --since`.")
    ],
    key: Annotated[Path, typer.Option(help="The witness's private key: PEM of Ed25519 or SM2.")],
    name: Annotated[str, typer.Option(help="The witness's name, such as second.example.gov.cn/witness.")],
    ledger: Annotated[list[Path], typer.Option(help="A public key of the ledger; repeatable.")],
    state: Annotated[Path, typer.Option(help="Where this witness keeps what it has seen.")] = Path("witness.json"),
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write; default: standard output.")] = None,
) -> None:
    """Cosign a checkpoint as a second party, if it continues the last one seen. Without settings: run it elsewhere than the ledger.

    The first run tells the public key that others check the cosignature with.
    """
    keys = keys_of(ledger, read_log_key)
    try:
        signer = read_signer(key, name, witness=True)
    except (OSError, ValueError) as error:
        raise wrong([f"{key}: {error}"]) from None
    try:
        text = _text(Path(source)) if "://" not in source else _asked(source, keys, state)
        note = attest(parse_request(text), keys, signer, state, int(time.time()))
    except Refused as refused:
        raise fault(refused.code, f"since={refused.seen}") from None
    except SigningFailed:
        raise wrong([f"{key}: 无法签名 cannot sign"]) from None
    except (OSError, ValueError) as error:
        raise wrong([f"{state}: {type(error).__name__}"]) from None
    err.print(plain(f"见证公钥 the witness's public key: {signer.key.text()}"), style="dim")
    _write(out_file, note)


# -- what they share ---------------------------------------------------------------------------------------------------


@contextmanager
def opened_store(settings: Settings) -> Iterator[ArchivedStore]:
    """The ledger's store; exits with a sentence for what stands in the way."""
    url = ledger_urls(settings)[0]
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise wrong(["ledger.url: 台账不存在 there is no ledger yet"])
    store = ledger_store(settings)
    try:
        store.open()
        yield store
    except StoreUnavailable:
        err.print("[red]台账库不可用 the ledger's store cannot be read[/] (ledger.url)")
        raise typer.Exit(UNREACHABLE) from None
    except (ProofError, CheckpointError) as error:
        raise fault(error.code) from None
    finally:
        store.close()


def _log_keys(settings: Settings, more: Sequence[Path] | None) -> list[Key]:
    return [_own_key(settings), *keys_of((*settings.ledger.former_keys, *(more or ())), read_log_key)]


def _own_key(settings: Settings) -> Key:
    file = settings.ledger.signing_key_file
    try:
        if file is None:
            raise ValueError("missing")
        return read_signer(file, settings.ledger.origin).key
    except (OSError, ValueError) as error:
        raise wrong([f"ledger.signing_key_file: {error}"]) from None


def keys_of(files: Sequence[Path], read: Callable[[Path], Key]) -> list[Key]:
    keys = []
    for file in files:
        try:
            keys.append(read(file))
        except (OSError, ValueError) as error:
            raise wrong(
                [f"{file}: 不是所需的公钥 not a public key of the kind needed ({type(error).__name__})"]
            ) from None
    return keys


def _opened(note: str, keys: Sequence[Key], origin: str) -> None:
    try:
        opened(note, keys, origin)
    except CheckpointError as error:
        raise fault(error.code, exits=WRONG_USE) from None


def _exported(settings: Settings) -> Iterator[Path]:
    if settings.ledger.export is not None:
        yield from (file for file in sorted(settings.ledger.export.rglob("*.checkpoint")) if file.name != LATEST)


def _keep(settings: Settings, store: Store, note: str) -> None:
    """Keep and export a checkpoint that came back cosigned: it must be ours, and one of the settings' witnesses' too."""
    checkpoint = opened(note, _log_keys(settings, None), settings.ledger.origin)
    if not signed_by(checkpoint, keys_of(settings.ledger.witnesses, read_witness_key)):
        raise wrong(["没有已配置见证方的签名 no witness of the settings (ledger.witnesses) has cosigned it"])
    own = store.checkpoint_of(checkpoint.size)
    # two of one size differ in the map of data subjects alone
    if not (parse_checkpoint(own.text).root == checkpoint.root if own else _leads_to(store, checkpoint)):
        raise CheckpointError("LEDGER_FORKED")
    if settings.ledger.export is not None:
        export(settings.ledger.export, checkpoint.size, note, latest=False)
    store.keep_checkpoint(note, checkpoint.size)
    err.print(f"[green]已保存 kept[/] {checkpoint.size}")


def _leads_to(store: Store, checkpoint: Checkpoint) -> bool:
    """Whether the records lead to a checkpoint that came back when the store had let go of its own."""
    try:
        return tree_of(store, TreeHash(checkpoint.hash)).root(checkpoint.size) == checkpoint.root
    except HashesMissing:
        return False


def _asked(source: str, keys: Sequence[Key], state: Path) -> str:
    """The latest checkpoint of a service, with the proof from what was seen of it."""
    base = address(source).rstrip("/") + "/ledger/checkpoint"
    try:
        with httpx.Client(timeout=30, trust_env=False) as client:
            latest = client.get(base).raise_for_status().text
            size = opened(latest, keys)
            seen = last_seen(state, size.origin)
            return client.get(f"{base}/{size.size}", params={"since": seen}).raise_for_status().text
    except CheckpointError as error:
        raise fault(error.code) from None
    except httpx.HTTPError as error:
        err.print(plain(f"{source} 没有应答 does not answer ({type(error).__name__})"), style="red")
        raise typer.Exit(UNREACHABLE) from None


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong([f"{file}: {type(error).__name__}"]) from None


def _write(file: Path | None, text: str) -> None:
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, "utf8")
    except OSError as error:
        raise wrong([f"{file}: {type(error).__name__}"]) from None


def _show(report: Report) -> None:
    for finding in report.findings[:_MOST_SHOWN]:
        code = CODES[finding.code]
        span = (
            f" {finding.first}" + (f"–{finding.last}" if finding.last != finding.first else "") if finding.last else ""
        )
        where = f" ({finding.where})" if finding.where else ""
        out.print(plain(f"✗ {finding.code}{span}{where}"), style="red")
        out.print(plain(f"  {code.message.zh} {code.message.en}"))
        out.print(plain(f"  → {code.hint.zh} {code.hint.en}"), style="dim")
    if len(report.findings) > _MOST_SHOWN:
        out.print(f"… {len(report.findings) - _MOST_SHOWN}")
    counted = (
        f"{report.records} 条记录 records, {report.checkpoints} 个检查点 checkpoints, {report.maps} 个名单映射 maps"
    )
    out.print(counted, highlight=False)
    if report.sealed:
        out.print(f"其中封存月份 of them sealed months: {report.sealed}", highlight=False)
    if report.removed:
        span = "–".join(dict.fromkeys((report.removed[0], report.removed[-1])))
        told = f"已按规定期满删除 removed by rule: {span}, 其余记录以其子树根证明 their subtrees prove the others"
        out.print(told, highlight=False)
    if report.proven:
        out.print(f"已证明 proven: 1–{report.proven}", style="green", highlight=False)
    if report.proven < report.records:
        told = f"未证明 unproven: {report.proven + 1}–{report.records} (其后尚无见证 not witnessed yet)"
        out.print(told, style="yellow", highlight=False)


def fault(code: str, more: str = "", *, exits: int = REFUSED) -> typer.Exit:
    """What to raise after a refusal: says its code, message and hint."""
    told = CODES[code]
    err.print(plain(f"✗ {code} {told.message.zh} {told.message.en}"), style="red")
    err.print(plain(f"  → {told.hint.zh} {told.hint.en} {more}".rstrip()), style="dim")
    return typer.Exit(exits)
