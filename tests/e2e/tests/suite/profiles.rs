//! Profiles, settings, organisations, members, invitations.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const ME: &str = "/api/v1/profiles/me";

fn email(tenant: &Tenant) -> String {
    let profile = tenant.get(ME);
    assert_status(&profile, 200);
    profile.json["email"].as_str().unwrap().to_owned()
}

#[test]
fn a_profile_is_read_and_changed() {
    let me = app().tenant();
    let profile = me.get(ME);
    assert_status(&profile, 200);
    assert_eq!(profile.json["id"], me.user_id.as_str());
    assert_eq!(profile.json["organizations"][0]["role"], "owner");
    assert_eq!(profile.json["organizations"][0]["kind"], "personal");
    let etag = profile.header("etag").to_owned();
    let patch = json!({"display_name": "Ada 🦀", "avatar_url": "https://example.org/a.png"});
    let changed = me.patch_with(ME, &[("if-match", &etag)], &patch);
    assert_status(&changed, 200);
    assert_eq!(changed.json["display_name"], "Ada 🦀");
    assert_problem(
        &me.patch_with(ME, &[("if-match", &etag)], &patch),
        412,
        "stale-version",
    );
    let cleared = me.patch_with(ME, &[], &json!({"avatar_url": null}));
    assert_eq!(cleared.json["avatar_url"], Value::Null);
    assert_eq!(cleared.json["display_name"], "Ada 🦀");
    for (patch, pointer) in [
        (json!({"display_name": ""}), "/display_name"),
        (json!({"display_name": "x".repeat(201)}), "/display_name"),
        (json!({"avatar_url": "javascript:alert(1)"}), "/avatar_url"),
        (
            json!({"avatar_url": "http://example.org/a.png"}),
            "/avatar_url",
        ),
        (json!({"default_org_id": "7"}), "/default_org_id"),
        (json!({"email": "other@example.org"}), "/email"),
    ] {
        let reply = me.patch_with(ME, &[], &patch);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer);
    }
    let huge = json!({"display_name": "x".repeat(10_000_000)});
    assert_problem(&me.patch_with(ME, &[], &huge), 413, "body-too-large");
    let org = uuid::Uuid::now_v7().to_string();
    let foreign = me.patch_with(ME, &[], &json!({"default_org_id": org}));
    assert_problem(&foreign, 409, "conflict");
}

#[test]
fn settings_are_checked_key_by_key() {
    let me = app().tenant();
    let path = format!("{ME}/settings");
    assert_eq!(me.get(&path).json["settings"], json!({}));
    let first = json!({"theme": "dark", "locale": "de-DE", "custom": {"a": [1]}});
    assert_status(&me.patch_with(&path, &[], &first), 200);
    let second = json!({"theme": null, "editor": {"minimap": true, "autosave_s": 30}});
    let changed = me.patch_with(&path, &[], &second);
    let want = json!({"locale": "de-DE", "custom": {"a": [1]},
        "editor": {"snap_to_grid": false, "minimap": true, "autosave_s": 30}});
    assert_eq!(changed.json["settings"], want);
    assert_eq!(me.get(&path).json["settings"], want);
    let replaced = me.put_with(&path, &[], &json!({"theme": "light"}));
    assert_eq!(replaced.json["settings"], json!({"theme": "light"}));
    for (patch, pointer) in [
        (json!({"theme": "pink"}), "/theme"),
        (json!({"them": "dark"}), "/them"),
        (json!({"editor": {"autosave_s": 601}}), "/editor/autosave_s"),
        (json!({"locale": "de DE"}), "/locale"),
        (json!({"custom": {"x": "y".repeat(20_000)}}), "/custom"),
    ] {
        let reply = me.patch_with(&path, &[], &patch);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer);
    }
    let schema = me.get("/api/v1/profiles/settings-schema");
    assert!(schema.json["properties"]["theme"].is_object());
}

/// An organisation of `owner`, who acts in it.
fn team(owner: &Tenant) -> (Tenant, String) {
    let made = owner.post("/api/v1/profiles/organizations", &json!({"name": "Team"}));
    assert_status(&made, 201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    (owner.in_organization(&id), id)
}

/// Invites `guest` and accepts; gives the guest acting in the organisation.
fn bring_in(owner: &Tenant, org: &str, guest: &Tenant, role: &str) -> Tenant {
    let body = json!({"email": email(guest), "role": role});
    let invitation = owner.post("/api/v1/profiles/invitations", &body);
    assert_status(&invitation, 201);
    let token = json!({"token": invitation.json["token"]});
    let joined = guest.post("/api/v1/profiles/invitations/accept", &token);
    assert_status(&joined, 200);
    assert_eq!(joined.json["role"], role);
    guest.in_organization(org)
}

#[test]
fn an_invited_member_works_with_the_others_by_role() {
    let (owner, guest) = (app().tenant(), app().tenant());
    let (owner, org) = team(&owner);
    let workflow = owner.workflow("ours", &hello());
    let viewer = bring_in(&owner, &org, &guest, "viewer");
    let path = format!("/api/v1/workflows/{workflow}");
    assert_status(&viewer.get(&path), 200);
    let body = json!({"name": "theirs", "definition": hello()});
    assert_problem(
        &viewer.post("/api/v1/workflows", &body),
        403,
        "scope-missing",
    );
    assert_problem(&guest.get(&path), 404, "not-found");

    let members = owner.get("/api/v1/profiles/members").json;
    let rows = members["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let row = rows
        .iter()
        .find(|row| row["user_id"] == guest.user_id.as_str())
        .unwrap();
    assert_eq!(row["email"], email(&guest));
    let path = format!("/api/v1/profiles/members/{}", row["id"].as_str().unwrap());
    assert_status(
        &owner.patch_with(&path, &[], &json!({"role": "editor"})),
        200,
    );
    assert_status(&viewer.post("/api/v1/workflows", &body), 201);
    let retention =
        |who: &Tenant| who.put_with("/api/v1/traces/retention", &[], &json!({"days": 7}));
    assert_problem(&retention(&viewer), 403, "scope-missing");
    assert_status(&retention(&owner), 200);
    // Nobody gives more than they have.
    assert_status(
        &owner.patch_with(&path, &[], &json!({"role": "admin"})),
        200,
    );
    let above = viewer.patch_with(&path, &[], &json!({"role": "owner"}));
    assert_problem(&above, 403, "forbidden");
    assert_status(&owner.delete(&path), 204);
    assert_problem(&viewer.get("/api/v1/workflows"), 403, "forbidden");
    let audit = owner.get("/api/v1/audit-logs?resource_type=member").json;
    assert_eq!(audit["data"].as_array().unwrap().len(), 3);
    assert_eq!(owner.get("/api/v1/audit-logs/verify").json["ok"], true);
}

#[test]
fn the_last_owner_stays() {
    let owner = app().tenant();
    let (owner, _) = team(&owner);
    let members = owner.get("/api/v1/profiles/members").json;
    let path = format!(
        "/api/v1/profiles/members/{}",
        members["data"][0]["id"].as_str().unwrap()
    );
    for reply in [
        owner.delete(&path),
        owner.patch_with(&path, &[], &json!({"role": "viewer"})),
    ] {
        assert_problem(&reply, 400, "invalid-input");
    }
}

#[test]
fn an_invitation_is_for_one_address_and_one_use() {
    let (owner, guest, thief) = (app().tenant(), app().tenant(), app().tenant());
    let (owner, _) = team(&owner);
    let invitations = "/api/v1/profiles/invitations";
    let made = owner.post(
        invitations,
        &json!({"email": email(&guest), "role": "editor"}),
    );
    let token = json!({"token": made.json["token"]});
    let text = made.json["token"].as_str().unwrap();
    assert!(!owner.get(invitations).text.contains(text));
    let accept = format!("{invitations}/accept");
    assert_status(&thief.get(ME), 200);
    assert_problem(&thief.post(&accept, &token), 409, "conflict");
    assert_problem(
        &guest.post(&accept, &json!({"token": "nai_invite_00"})),
        404,
        "not-found",
    );
    assert_status(&guest.post(&accept, &token), 200);
    assert_problem(&guest.post(&accept, &token), 409, "conflict");
    let twice = owner.post(invitations, &json!({"email": "new@example.org"}));
    assert_status(&twice, 201);
    let again = owner.post(invitations, &json!({"email": "NEW@example.org"}));
    assert_problem(&again, 409, "conflict");
    for body in [
        json!({"email": "not an address"}),
        json!({"email": "аdmin@example.org"}),
        json!({"email": "a@b.org", "role": "owner"}),
        json!({"email": "a@b.org", "expires_in_s": 1}),
    ] {
        assert_problem(&owner.post(invitations, &body), 400, "invalid-input");
    }
    let path = format!("{invitations}/{}", twice.json["id"].as_str().unwrap());
    assert_status(&owner.delete(&path), 204);
}

#[test]
fn bad_short_names_are_refused() {
    let me = app().tenant();
    for slug in [
        "",
        "-a",
        "a-",
        "A",
        "ä",
        "a_b",
        "a b",
        "ａ",
        &"a".repeat(64),
    ] {
        let body = json!({"name": "x", "slug": slug});
        let reply = me.post("/api/v1/profiles/organizations", &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/slug", "{slug}");
    }
    let slug = format!("t-{}", uuid::Uuid::new_v4().simple());
    let body = json!({"name": "x", "slug": slug});
    assert_status(&me.post("/api/v1/profiles/organizations", &body), 201);
    let taken = me.post("/api/v1/profiles/organizations", &body);
    assert_problem(&taken, 409, "conflict");
}
