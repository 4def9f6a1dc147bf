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
modelconfig    model_settings(record: Model) -> dict[key, Setting(value, source)]; setting(record, key)
               set_model_config(tx, model, {key: text}); reset_model_config(tx, model, keys)
machines       machine_for(tx, model, host_id, *, now) -> Machine              the host's number in this model
               place(tx, model, count, *, to=(), here: Host | None, now) -> list[machine id]
               remove_machine(tx, model, machine_id)
charmrecords   next_charm_url(tx, model, charm) -> str                         `local:NAME-REVISION`; keeps the record
               charm_of(tx, model, application) -> Charm
applications   deploy(tx, model, Deployment(name, charm, units=1, to=(), config={}, trust=False, ...), *, here, now)
                   -> Deployed(application, units)                             at most MAX_UNITS_AT_ONCE units at once
               refresh(tx, model, name, charm, *, config={}, force=False, trust=None, ...) -> Application
               set_config(tx, model, name, {option: value}, reset=()); get_config(...) -> dict[option, ConfigValue]
               set_trust(tx, model, name, bool); set_exposed(tx, model, name, bool)
               remove_application(tx, model, name, *, force=False)
units          add_units(tx, model, application, count, *, to=(), here, now) -> list[Unit]
               remove_unit(tx, model, unit, *, force=False)
               remove_subordinates(tx, model, principal)                       what a dying principal asks for
               unit_dead(tx, model, unit)                                      the uniter is through with it
               unit_gone(tx, model, unit)                                      its host has cleaned up behind it
               take_up_charm(tx, model, unit, *, url, sha256)                  the unit runs that charm from now on
               resolve(tx, model, unit, *, retry=True); clear_resolved(tx, model, unit)
relations      integrate(tx, model, first, second) -> Relation                 each `application[:endpoint]`
               find_relation(tx, model, first, second) -> Relation
               remove_relation(tx, model, relation_id, *, force=False)
               relations_of(store, model, application) -> list[Relation]
scopes         enter_scope(tx, model, relation_id, unit, *, settings, now)     CannotEnterScope, CannotEnterScopeYet
               depart_scope(tx, model, relation_id, unit)                      no longer shown to the others
               leave_scope(tx, model, relation_id, unit)
statuses       set_status(tx, model, kind, name, current, message="", *, data={}, now) -> Status
               get_status(tx, model, kind, name) -> Status | None; status_log(...) -> Sequence[Status]
               kinds: unit (its workload), agent (a unit's), application, machine, model
lifecycle      reap(store, model, *, clock, rng)                               all that waits in cleanups/
document       status_document(store, record: Model, *, now, version) -> dict  juju's `status --format json`
               show_unit(store, model, unit, ...) and show_model(store, record) likewise
"""
