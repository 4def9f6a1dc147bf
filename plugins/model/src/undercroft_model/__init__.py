"""The typed model over any Store, its SQLite backend, and the operator's commands.

A map of the modules that hold the entities. Operations read and write through a `Transaction` (`tx`), for one model
(`model: ModelId`); run them in `change(store, decide, clock=, rng=)`, which commits all or nothing and tries again when
somebody else was faster:

    await change(store, lambda tx: integrate(tx, model, "wordpress", "mysql:db"), clock=clock, rng=rng)

What cannot be done raises NotFoundError, AlreadyExistsError or NotValidError in juju's words. Names of units and
applications are plain strings, checked where they come in (`UnitName.parse`); `now` is an aware time.

What is removed goes in steps: the operation marks it, and leaves a note in `cleanups/`; `lifecycle.reap` does the rest
in batches, and can be run again by anybody at any time. The agent runs it whenever `cleanups/` changes, and a command
once it has committed.

tables         where every record is; `parts_of(name)`, `next_number(tx, model, sequence)`
rows           records that nobody else sees
hosts          describe_host(host: HostId) -> Host                             what this machine is
               register_host(tx, host: Host)
               read_hosts(store) -> dict[id, HostSeen(host, present)]
models         create_model(tx, name, *, now, rng, owner="admin", config={}) -> Model
               find_model(tx, name_or_uuid) -> Model                           `owner/name` too
               open_model(tx, wanted: str | None, *, now, rng) -> Model        None: `default`, made on first use
               list_models(store) -> list[Model]
               destroy_model(tx, model, *, force=False)
               model_id(record) -> ModelId
modelconfig    model_settings(record: Model) -> dict[key, Setting(value, source)]; update_status_seconds(record)
               set_model_config(tx, model, {key: value}); reset_model_config(tx, model, keys)
machines       machine_for(tx, model, host_id, *, now) -> Machine              the host's number in this model
               place(tx, model, count, *, to=(), here: Host | None, now) -> list[machine id]
               remove_machine(tx, model, machine_id, *, force=False); units_on(store, model, machine_id)
charmrecords   next_charm_url(tx, model, charm) -> str                         `local:NAME-REVISION`; keeps the record
               charm_of(tx, model, application: Application) -> Charm
               need_application(tx, model, name) -> Application
applications   deploy(tx, model, Deployment(name, charm, units=None, to=(), config={}, trust=False, ...), *, here, now)
                   -> Deployed(application, units, missing)                    missing: did not fit, add them in batches
               refresh(tx, model, name, charm, *, config={}, force=False, trust=None, ...) -> Application
               attach_resource(tx, model, name, resource, blob: Resource)
               set_config(tx, model, name, {option: value}, *, reset=())       as text or typed; `trust` too
               get_config(...) -> dict[option, ConfigValue]; effective_config(...) -> dict[option, value]
               set_trust(tx, model, name, bool); set_exposed(tx, model, name, bool)
               remove_application(tx, model, name, *, force=False)
units          need_unit(tx, model, unit) -> Unit
               add_units(tx, model, application, count=1, *, to=(), here, now) -> list[Unit]   MAX_UNITS_AT_ONCE
               add_units_in_batches(store, model, application, count, *, to=(), here, clock, rng) -> list[Unit]
               remove_unit(tx, model, unit, *, force=False)                    the operator's
               unit_dying(tx, model, unit)                                     the unit's own, subordinates too
               remove_subordinates(tx, model, principal)                       what a dying principal asks for
               unit_dead(tx, model, unit)                                      the uniter is through with it
               unit_gone(tx, model, unit)                                      its host has cleaned up behind it
               take_up_charm(tx, model, unit, *, url, sha256)                  the unit runs that charm from now on
               resolve(tx, model, unit, *, retry=True); clear_resolved(tx, model, unit)
relations      integrate(tx, model, first, second, *, now) -> Relation         each `application[:endpoint]`
               find_relation(tx, model, first, second) -> Relation; need_relation(tx, model, id)
               remove_relation(tx, model, relation_id, *, force=False)
               relations_of(store, model, application) -> list[Relation]
               endpoint_in(relation, application), other_endpoint(relation, application), is_implicit(endpoint)
scopes         enter_scope(tx, model, relation_id, unit, *, settings, now)     CannotEnterScope, CannotEnterScopeYet
               depart_scope(tx, model, relation_id, unit)                      no longer shown to the others
               leave_scope(tx, model, relation_id, unit)
               members(tx, model, relation_id, *, seen_by) -> list[unit]; is_party(relation, unit: Unit)
statuses       set_status(tx, model, kind, name, current, message="", *, data={}, now) -> Status
               get_status(tx, model, kind, name) -> Status | None; status_log(...) -> Sequence[Status]
               kinds: unit (its workload), agent (a unit's; its errors too), application, machine, model
cleanups       ask_cleanup, note_loss: the notes for `lifecycle`; sweep, leftovers, burials: its parts
lifecycle      reap(store, model, *, clock, rng)                               all that waits in cleanups/
blobholds      holding(store, *, clock, rng): hold blobs until a record names them; note_blob
blobremoval    remove_unneeded(store, blobs, *, clock)                         blobs that were noted and nobody needs
view           read_view(store, record: Model) -> View                         a whole model, read at once
reckoning      what is shown of statuses, where it is more than what was set
document       status_document(store, record: Model, *, now, version) -> dict  juju's `status --format json`
showunit       show_unit(store, record, unit) -> dict; show_model(store, record) -> dict
actions        enqueue(store, model, units, Task(name, parameters, ...), *, clock, rng) -> Operation
               cancel(tx, model, number, *, now); need_action(tx, model, number)
secrets        create_secret(tx, model, sealer, *, secret, owner, content, ...); update_secret; remove_secret
               grant_secret(tx, model, secret, consumer, *, relation=None); revoke_secret; content_of(...)
secretreading  read_secret(tx, model, sealer, unit, name, *, label, refresh, peek); track_latest(...)
encryption     Keyring(store, default=, given=).sealer() -> Sealer              the key, and what it encrypts
ports          change_ports(tx, model, unit, *, opening, closing); machine_ports(tx, model, machine)
leadership     LeadershipClaim(store, model, unit, *, clock): claim, certain_seconds, resign
watching       newest([folder(table, ...), record(table, ...)], build, store=, ...)  the newest state, and again
hookcommit     commit_changes(tx, here, HookChanges, sealer)                    all that a hook writes, or nothing
unitside       the facades of units, each bound to one (`Standpoint`); `facades` has them by kind
worker         the worker of manifold `model`: keeps presence, reaps, and gives everybody their facades
"""
