"""The errors that callers see: one code a case, never reused, in English and Chinese, each with a hint.

`Fault` is what a stage reports about one place of an operation; `RequestError` ends the whole request. Converting
(`to_graphql`) is apart from recording: nothing here logs. Messages never carry a stored value, a host, SQL or a
name that the caller could not see in the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any

_MAX_PLACES = 20


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in English and in Chinese."""

    en: str
    zh: str

    def as_dict(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}


@dataclass(frozen=True, slots=True)
class Code:
    """An error code: HTTP status where it ends the request (else 200), message and hint."""

    status: int
    message: Text
    hint: Text


CODES: dict[str, Code] = {
    # -- the request as HTTP -------------------------------------------------------------------------------
    "UNAUTHENTICATED": Code(401, Text("Sign in first.", "请先登录。"), Text("Send a valid bearer token.", "请携带有效的令牌。")),
    "METHOD_NOT_ALLOWED": Code(405, Text("Only POST is accepted.", "仅接受 POST 请求。"), Text("Send the operation as a POST.", "请以 POST 方式提交。")),
    "MEDIA_TYPE_UNSUPPORTED": Code(415, Text("The body must be application/json in UTF-8.", "请求体须为 UTF-8 编码的 application/json。"), Text("Set Content-Type: application/json.", "请设置 Content-Type: application/json。")),
    "NOT_ACCEPTABLE": Code(406, Text("No acceptable answer format.", "没有可接受的响应格式。"), Text("Accept application/graphql-response+json.", "请接受 application/graphql-response+json。")),
    "REQUEST_TIMEOUT": Code(408, Text("The request did not arrive in time.", "请求未能及时送达。"), Text("Send it again.", "请重新发送。")),
    "REQUEST_TOO_LARGE": Code(413, Text("The request is too large.", "请求体过大。"), Text("Send a smaller document or fewer identifiers.", "请缩短查询或减少标识数量。")),
    "REQUEST_MALFORMED": Code(400, Text("The request is not a GraphQL request.", "请求不是有效的 GraphQL 请求。"), Text("Send a JSON object with `query` and, where needed, `variables` and `operationName`.", "请发送含 query（及 variables、operationName）的 JSON 对象。")),
    "BATCHING_DISABLED": Code(400, Text("Several operations in one request are not accepted.", "不接受一次请求提交多个操作。"), Text("Send one operation a request.", "每次请求只提交一个操作。")),
    "RATE_LIMITED": Code(429, Text("Too many requests.", "请求过于频繁。"), Text("Wait as long as Retry-After says.", "请按 Retry-After 所示时间后重试。")),
    # -- the operation as GraphQL --------------------------------------------------------------------------
    "GRAPHQL_PARSE_FAILED": Code(400, Text("The document is not GraphQL.", "文档不符合 GraphQL 语法。"), Text("See the location given.", "请查看所示位置。")),
    "GRAPHQL_VALIDATION_FAILED": Code(400, Text("The document does not fit the schema.", "文档与模式不符。"), Text("Compare with the schema: `onesource schema print`.", "请对照模式：onesource schema print。")),
    "USE_REQUIRED": Code(400, Text("`use` is required: a purpose and a basis.", "必须声明用途及依据（use）。"), Text("Open a case with acceptCase and pass use: {purpose: ..., basis: {case: \"<acceptance number>\"}}.", "请先用 acceptCase 受理登记，再传入 use: {purpose: …, basis: {case: \"受理号\"}}。")),
    "VARIABLES_INVALID": Code(400, Text("A variable has a wrong value.", "变量取值不正确。"), Text("Compare with the variable's declared type.", "请对照变量声明的类型。")),
    "OPERATION_UNKNOWN": Code(400, Text("The document has no such operation.", "文档中没有该操作。"), Text("Give operationName, or send a document with one operation.", "请指定 operationName，或只提交一个操作。")),
    "QUERY_TOO_LARGE": Code(400, Text("The document asks for too much, fragments expanded.", "查询展开后过大。"), Text("Ask for fewer fields in one operation.", "请减少一次查询的字段数。")),
    "QUERY_TOO_DEEP": Code(400, Text("The document is nested too deeply.", "查询嵌套过深。"), Text("Ask in several operations.", "请分多次查询。")),
    "QUERY_TOO_EXPENSIVE": Code(400, Text("The operation costs too much.", "查询开销过大。"), Text("Ask for fewer identifiers, shorter pages or fewer fields below lists.", "请减少标识数量、缩短分页或减少列表下的字段。")),
    "INTROSPECTION_OFF": Code(400, Text("The schema is not told here.", "此处不提供模式内省。"), Text("Use the published schema: `onesource schema print`.", "请使用已发布的模式：onesource schema print。")),
    "OPERATION_NOT_REGISTERED": Code(400, Text("Only registered operations run here.", "此处仅执行已登记的操作。"), Text("Register it first: `onesource operations register`.", "请先登记：onesource operations register。")),
    "IDENTIFIER_INVALID": Code(400, Text("An identifier is not valid.", "标识号码无效。"), Text("Correct the number; no department was asked.", "请更正号码；尚未向任何部门查询。")),
    # -- decisions -----------------------------------------------------------------------------------------
    "USE_DENIED": Code(200, Text("This use is not authorised.", "该用途未获授权。"), Text("See reason and next.", "请见 reason 与 next。")),
    "FIELD_DENIED": Code(200, Text("This field may not be read for this use.", "该用途下不得读取此信息项。"), Text("See reason and next.", "请见 reason 与 next。")),
    "ROLE_REQUIRED": Code(200, Text("This needs another role.", "需要其他岗位权限。"), Text("Sign in with the role named in reason.", "请以 reason 所示岗位登录。")),
    "OWN_DISCLOSURES_ONLY": Code(403, Text("A data subject asks what was disclosed of the own person, and nothing else.", "数据主体只能查询本人信息的使用记录。"), Text("Ask for myDisclosures alone.", "请仅查询 myDisclosures。")),
    # -- answers that are empty for a reason -----------------------------------------------------------------
    "ENTITY_UNKNOWN": Code(200, Text("The register has no entry under this identifier.", "登记库中无此标识的记录。"), Text("Check the number; if it is right, accept the applicant's paper.", "请核对号码；号码无误的，请收取申请人材料。")),
    "RESULT_TOO_LARGE": Code(200, Text("The answer would have too many records.", "结果记录过多。"), Text("Ask for fewer identifiers or relations at once.", "请减少一次查询的对象。")),
    "CURSOR_INVALID": Code(200, Text("The cursor is not of this search.", "游标不属于本次检索。"), Text("Search again from the first page: a cursor is good for one caller, use, question and policy version.", "请从第一页重新检索：游标仅对同一用户、用途、条件和策略版本有效。")),
    # -- questions to the ledger ---------------------------------------------------------------------------
    "RANGE_INVALID": Code(200, Text("The time range is not one.", "时间范围不正确。"), Text("Give `since` before `until`, and a month such as 2026-11.", "起始时间应早于截止时间；月份格式如 2026-11。")),
    "RANGE_UNBOUNDED": Code(200, Text("The whole ledger is not told at once.", "不能一次查询全部台账。"), Text("Ask page by page with `first`, or give both `since` and `until`.", "请用 first 分页查询，或同时给出 since 与 until。")),
    "PAGE_INVALID": Code(200, Text("There is no such page.", "分页参数不正确。"), Text("Give `first` from 1 to 500, and as `after` a cursor of this list.", "first 应在 1 至 500 之间；after 应为本列表的游标。")),
    "ITEM_UNKNOWN": Code(200, Text("The resource has no such item.", "该信息资源没有此信息项。"), Text("See docs/catalogue.md for the names.", "名称请见 docs/catalogue.md。")),
    "VALUE_INVALID": Code(200, Text("The value is none of the item's type.", "取值与信息项类型不符。"), Text("Write it as answers do: a date as 2026-11-22, a code by its name, no value as an empty text.", "请按查询结果的写法填写：日期如 2026-11-22，代码用名称，无值用空文本。")),
    "VALUE_REQUIRED": Code(200, Text("Only the wrong value itself tells who was shown it.", "须给出错误内容才能确定受影响的使用者。"), Text("The source tells no moment of a record's last change: give `value`; it is hashed and not kept.", "数据源未提供记录的更新时刻：请填写 value；仅作散列比对，不留存。")),
    # -- corrections and re-identification -----------------------------------------------------------------
    "CORRECTION_INVALID": Code(200, Text("The correction cannot be recorded like this.", "更正登记不符合要求。"), Text("See reason.", "请见 reason。")),
    "CORRECTION_EXISTS": Code(200, Text("There is another correction under this reference.", "该文号下已有另一项更正。"), Text("Read `corrections`, or give another reference.", "请查询 corrections，或更换文号。")),
    "INDEX_BEHIND": Code(200, Text("The ledger's index is behind, so some who are affected might be missed.", "台账索引尚未跟上，可能遗漏受影响的使用者。"), Text("Try again in a moment; nothing was recorded.", "请稍后重试；未作登记。")),
    "IDENTITY_UNKNOWN": Code(200, Text("The ledger keeps no data subject under this hash.", "台账中没有该散列对应的数据主体。"), Text("Copy the hash whole from `disclosures`.", "请从 disclosures 完整复制散列。")),
    "REIDENTIFICATION_INVALID": Code(200, Text("The request cannot be made like this.", "还原申请不符合要求。"), Text("See reason.", "请见 reason。")),
    "REIDENTIFICATION_UNKNOWN": Code(200, Text("There is no such request.", "没有该还原申请。"), Text("Read `reidentifications`.", "请查询 reidentifications。")),
    "REIDENTIFICATION_OWN": Code(200, Text("Nobody approves their own request.", "不得批准本人的申请。"), Text("Let another auditor of the supervising department decide.", "请由数据主管部门的另一名审计人员办理。")),
    "REIDENTIFICATION_STATE": Code(200, Text("The request is not in a state for this.", "申请当前状态不允许此操作。"), Text("See reason; where it has expired or is used up, make another request.", "请见 reason；已过期或已使用的，请重新申请。")),
    # -- sources -------------------------------------------------------------------------------------------
    "SOURCE_UNAVAILABLE": Code(200, Text("The department's source cannot be reached.", "部门数据源暂不可用。"), Text("Go on with the rest; accept the applicant's paper for this.", "其余信息可继续使用；此项请先收取申请人材料。")),
    "SOURCE_TIMEOUT": Code(200, Text("The department's source did not answer in time.", "部门数据源响应超时。"), Text("Try again; else accept the applicant's paper for this.", "请重试；仍不可用时请收取申请人材料。")),
    "SOURCE_CHANGED": Code(200, Text("The department's source is not as the catalogue says any more: a table, a column, or the form of its answers.", "部门数据源的表、字段或应答格式与目录不再一致。"), Text("The department's data officer must mend the catalogue or the source.", "请提供部门的数据专员修正目录或数据源。")),
    "SOURCE_REFUSED": Code(200, Text("The department's source does not let us in.", "部门数据源拒绝访问。"), Text("The department's data officer must renew the account or its rights; accept the applicant's paper for this.", "请提供部门的数据专员恢复访问账号或权限；此项请先收取申请人材料。")),
    "SOURCE_VALUE_INVALID": Code(200, Text("The source holds a value that is not of the item's type.", "数据源中的取值与信息项类型不符。"), Text("Report it to the department; accept the applicant's paper for this.", "请向提供部门反馈疑义；此项请先收取申请人材料。")),
    "SOURCE_AMBIGUOUS": Code(200, Text("The source holds several records where there must be one.", "数据源中存在多条应唯一的记录。"), Text("Report it to the department.", "请向提供部门反馈疑义。")),
    "SOURCE_UNSUPPORTED": Code(200, Text("The department's source cannot answer this exactly.", "部门数据源无法精确执行该查询条件。"), Text("Ask by another item, or look the record up by its identifier.", "请改用其他条件，或按标识查询。")),
    # -- cases ---------------------------------------------------------------------------------------------
    "SERVICE_UNKNOWN": Code(200, Text("Your department has no such service item.", "本部门没有该政务服务事项。"), Text("Use the code of a service item of your acting department.", "请使用本部门事项的编码。")),
    "CASE_UNKNOWN": Code(200, Text("Your department has no such open case.", "本部门没有该办件。"), Text("Check the acceptance number.", "请核对受理号。")),
    "CASE_EXISTS": Code(200, Text("This acceptance number is already in use.", "该受理号已登记。"), Text("Use the open case, or another number.", "请使用已有办件，或更换受理号。")),
    "CASE_INVALID": Code(200, Text("The case cannot be opened like this.", "办件信息不符合要求。"), Text("See reason.", "请见 reason。")),
    # -- grants and suspensions ------------------------------------------------------------------------------
    "GRANT_UNKNOWN": Code(200, Text("There is no such grant that concerns your department.", "没有与本部门有关的该授权。"), Text("Check the grant's number.", "请核对授权编号。")),
    "GRANT_INVALID": Code(200, Text("This cannot be applied for or decided like this.", "共享申请或决定不符合要求。"), Text("See reason.", "请见 reason。")),
    "GRANT_STATE": Code(200, Text("The grant is not in a state for this.", "授权当前状态不允许此操作。"), Text("Read the grant again and go on from its state.", "请重新查询授权，按其当前状态办理。")),
    "SUSPENSION_UNKNOWN": Code(200, Text("There is no such suspension that concerns your department.", "没有与本部门有关的该暂停记录。"), Text("Check the suspension's number.", "请核对暂停编号。")),
    "SUSPENSION_INVALID": Code(200, Text("This cannot be suspended or disabled like this.", "暂停或停用的对象不符合要求。"), Text("See reason.", "请见 reason。")),
    # -- explaining ----------------------------------------------------------------------------------------
    "RESOURCE_UNKNOWN": Code(200, Text("The catalogue has no such resource.", "目录中没有该信息资源。"), Text("See docs/catalogue.md for the names.", "名称请见 docs/catalogue.md。")),
    "DRY_RUN_QUERY_ONLY": Code(400, Text("Only queries can be run dry.", "仅查询可以试运行。"), Text("Leave out extensions.onesource.dryRun, or send a query.", "请去掉 extensions.onesource.dryRun，或改为提交查询。")),
    # -- the ledger's proofs ---------------------------------------------------------------------------------
    "CHECKPOINT_UNKNOWN": Code(404, Text("There is no checkpoint of this size.", "没有该规模的检查点。"), Text("Ask for /ledger/checkpoint, the latest.", "请查询最新检查点 /ledger/checkpoint。")),
    "CHECKPOINT_INVALID": Code(200, Text("This is no checkpoint, or a signature in it is wrong.", "不是有效的检查点，或其签名有误。"), Text("Fetch the file again from where it was exported.", "请从导出处重新获取该文件。")),
    "CHECKPOINT_UNSIGNED": Code(200, Text("The checkpoint is signed by no known key of the ledger.", "检查点没有已知台账密钥的签名。"), Text("Give the ledger's public key by --key, if you trust it.", "如信任该台账，请以 --key 给出其公钥。")),
    "CHECKPOINT_STALE": Code(200, Text("The proof does not begin where this witness stands.", "证明的起点与见证方所见不一致。"), Text("Ask again with since=<the size that the message names>.", "请以 since=<所示规模> 重新获取。")),
    "LEDGER_FOREIGN": Code(200, Text("This belongs to the ledger of another installation.", "属于另一套系统的台账。"), Text("Compare ledger.origin and ledger.hash of the settings with its first lines.", "请将其首行与设置 ledger.origin、ledger.hash 对照。")),
    "RECORD_UNKNOWN": Code(200, Text("The ledger has no such record.", "台账中没有该记录。"), Text("Name a record by its number or by its operation id.", "请以记录序号或操作编号指明。")),
    "RECORD_UNSEALED": Code(200, Text("No checkpoint covers this record yet.", "该记录尚未被检查点覆盖。"), Text("Try again in a second; if it stays so, see /health/ready.", "请稍后重试；仍如此的，请查看 /health/ready。")),
    "LEDGER_CHANGED": Code(200, Text("A record is not the one that was sequenced.", "记录与入树时不一致，已被改动。"), Text("Keep the store as it is, and compare with a copy.", "请保全现场，并与备份比对。")),
    "LEDGER_REMOVED": Code(200, Text("A record is missing.", "记录缺失，已被删除。"), Text("Keep the store as it is, and compare with a copy.", "请保全现场，并与备份比对。")),
    "LEDGER_INSERTED": Code(200, Text("A record stands where none can have been written.", "在不可能写入之处存在记录。"), Text("Keep the store as it is.", "请保全现场。")),
    "LEDGER_TRUNCATED": Code(200, Text("Records that a checkpoint counts are not there.", "检查点已计入的末尾记录不存在，台账被截断。"), Text("Keep the store as it is, and compare with a copy.", "请保全现场，并与备份比对。")),
    "LEDGER_REWRITTEN": Code(200, Text("The records do not lead to the checkpoint: one of this range was changed, removed, inserted or moved.", "记录与检查点不符：该范围内有记录被改动、删除、插入或调换。"), Text("Keep the store as it is; a checkpoint between narrows the range.", "请保全现场；其间的检查点可缩小范围。")),
    "LEDGER_FORKED": Code(200, Text("The ledger has signed two histories.", "台账对两段不同的历史签过名（分叉）。"), Text("Keep both checkpoints: they are the evidence.", "请保存两份检查点作为证据。")),
    "LEDGER_TREE_BROKEN": Code(200, Text("The tree's own hashes are missing or wrong.", "哈希树自身的数据缺失或有误。"), Text("Keep the store as it is; the records themselves are compared with the checkpoints.", "请保全现场；记录本身仍与检查点比对。")),
    "LEDGER_SUBJECTS_CHANGED": Code(200, Text("What was committed of data subjects' own lists is not what the records say: an entry was left out, doubled or moved.", "对数据主体名单的承诺与记录不符：有条目被遗漏、重复或调换。"), Text("Keep the store as it is. Where no checkpoint is named, the map's tables alone were changed: without them the map is made anew from the records.", "请保全现场。未指明检查点的，仅映射表被改动：清空后可由记录重建。")),
    "LEDGER_ITEMS_CHANGED": Code(200, Text("The dictionary of items is not the one that was signed.", "信息项字典与签名时不一致。"), Text("Keep the store as it is: items may have been renamed.", "请保全现场：信息项可能被改名。")),
    "ARCHIVE_MISSING": Code(200, Text("The file of a sealed month is missing or cannot be read.", "封存月份的文件缺失或无法读取。"), Text("Put the file back from its copy; nothing of the month can be told before.", "请以备份恢复该文件；此前无法查询该月记录。")),
    "ARCHIVE_CHANGED": Code(200, Text("The file or the manifest of a sealed month is not the one that was sealed.", "封存月份的文件或清单与封存时不一致。"), Text("Keep it as it is, and put the right one back from its copy.", "请保全该文件，并以备份恢复。")),
    "REMOVAL_UNPROVEN": Code(200, Text("A month is said to be removed, but no record of the ledger says so, or it was too early.", "称该月已删除，但台账中无相应记录，或删除早于保存期限。"), Text("Keep the store as it is, and look for the month's copy.", "请保全现场，并查找该月的导出副本。")),
    "RECORD_REMOVED": Code(200, Text("The record's month was removed when its time was over.", "该记录所在月份已按规定期满删除。"), Text("Its exported copy has it.", "可查阅其导出副本。")),
    "MONTH_NOT_DUE": Code(200, Text("The month cannot be sealed: it is not over, has no records of its own, or is sealed already.", "该月不能封存：尚未结束、无记录，或已封存。"), Text("A month is sealed from the second day after its end, in China.", "月份结束后次日起（北京时间）可封存。")),
    "MONTH_UNPROVEN": Code(200, Text("No checkpoint covers the month yet, or no witness has cosigned one that does.", "尚无检查点覆盖该月，或覆盖该月的检查点尚未经见证。"), Text("Have the latest checkpoint witnessed, then try again.", "请先完成最新检查点的见证，再行封存。")),
    "MONTH_UNSEALED": Code(200, Text("The month is not sealed.", "该月尚未封存。"), Text("Seal it first: onesource audit seal.", "请先封存：onesource audit seal。")),
    "MONTH_NOT_OLDEST": Code(200, Text("An older month is still there.", "尚有更早的月份未删除。"), Text("Months go in their order; the older one is named.", "应按先后次序删除；更早的月份如所示。")),
    "MONTH_RETAINED": Code(200, Text("The month has to be kept for longer.", "该月仍在保存期限内。"), Text("It may go from the day that is named.", "自所示日期起方可删除。")),
    "MONTH_NOT_EXPORTED": Code(200, Text("The file given is no copy of the sealed month.", "所给文件不是该封存月份的副本。"), Text("Copy the archive's file to another place, and name the copy by --exported-to.", "请将封存文件复制到他处，并以 --exported-to 指明副本。")),
    "MONTH_REMOVED": Code(200, Text("The month was removed when its time was over.", "该月已按规定期满删除。"), Text("Ask for a later month; `removedThrough` says how far removal has come.", "请查询其后的月份；removedThrough 说明已删除至何月。")),
    # -- ourselves -----------------------------------------------------------------------------------------
    "LEDGER_UNAVAILABLE": Code(503, Text("The answer cannot be put on record, so it is withheld.", "无法留痕，结果不予返回。"), Text("Try again; nothing was disclosed.", "请稍后重试；未披露任何信息。")),
    "LEDGER_INDEX_INCOMPLETE": Code(503, Text("The ledger's index is being built anew and cannot be asked yet.", "台账索引正在重建，暂不能查询。"), Text("Try again in some minutes; the ledger itself is whole.", "请数分钟后重试；台账本身完整。")),
    "CANCELLED": Code(499, Text("Whoever asked went away before the answer.", "请求方在结果返回前已断开。"), Text("Ask again; nothing was disclosed.", "请重新查询；未披露任何信息。")),
    "STORE_UNAVAILABLE": Code(503, Text("The case store cannot be reached.", "办件库暂不可用。"), Text("Try again.", "请稍后重试。")),
    "DISABLEMENT_OWN": Code(200, Text("Nobody disables what they act by themselves.", "不得停用本人正在使用的人员、令牌或客户端。"), Text("Let another officer do it; `onesource policy enable` admits again offline.", "请由其他专员办理；可用 onesource policy enable 离线启用。")),
    "IDENTITY_DISABLED": Code(403, Text("This person, token or client is disabled.", "该人员、令牌或客户端已被停用。"), Text("Ask the data bureau.", "请联系数据主管部门。")),
    "POLICY_CHANGED": Code(503, Text("The policy has changed while the answer was made, so it is withheld.", "作答期间策略已变更，结果不予返回。"), Text("Ask again; nothing was disclosed.", "请重新查询；未披露任何信息。")),
    "POLICY_UNAVAILABLE": Code(503, Text("Which policy is in force cannot be confirmed, so nothing is decided.", "无法确认现行策略，不作任何授权。"), Text("Try again; nothing was disclosed.", "请稍后重试；未披露任何信息。")),
    "CONTROL_UNAVAILABLE": Code(503, Text("The control database cannot be reached.", "管控库暂不可用。"), Text("Try again.", "请稍后重试。")),
    "INTERNAL": Code(500, Text("Something went wrong here; nothing was disclosed.", "系统内部错误；未披露任何信息。"), Text("Report the operation id.", "请报告操作编号。")),
}  # fmt: skip
"""Every code, with its HTTP status, message and hint; `docs/errors.md` is generated from it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One error at one place of an answer; `extra` joins the GraphQL extensions."""

    code: str
    path: tuple[str | int, ...] = ()
    reason: Text | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    locations: tuple[tuple[int, int], ...] = ()


class RequestError(Exception):
    """Ends a request: no data at all. Carries the faults to answer with (at least one)."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(", ".join(fault.code for fault in faults))
        self.faults = faults

    @property
    def status(self) -> int:
        return CODES[self.faults[0].code].status


class FieldFault(Exception):
    """Raised by the resolver of an ungoverned field: the field is null with this fault."""

    def __init__(self, code: str, reason: Text | None = None, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.extra = extra


def wordless(error: BaseException) -> str:
    """An error for a log: its type and the places it came through, innermost last.

    Without its words, which may hold personal data or SQL, without lines of source, and without folders.
    """
    passed = extract_tb(error.__traceback__)[-_MAX_PLACES:]
    places = (f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in passed)
    return " > ".join((*places, type(error).__name__))


def to_graphql(fault: Fault) -> dict[str, Any]:
    """The fault as an entry of GraphQL's `errors`."""
    code = CODES[fault.code]
    extensions: dict[str, Any] = {"code": fault.code, "message": code.message.as_dict(), "hint": code.hint.as_dict()}
    if fault.reason:
        extensions["reason"] = fault.reason.as_dict()
    extensions.update(fault.extra)
    error: dict[str, Any] = {"message": fault.reason.en if fault.reason else code.message.en}
    if fault.locations:
        error["locations"] = [{"line": line, "column": column} for line, column in fault.locations]
    if fault.path:
        error["path"] = list(fault.path)
    error["extensions"] = extensions
    return error
