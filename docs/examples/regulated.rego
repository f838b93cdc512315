# A regulated vCluster: a second person for what lasts, and no rollback to before an audit's cut-off.
package pact.authz

import rego.v1

lasting := {"commit", "apply", "emergency_start", "policy_update"}

regulated if startswith(input.scope.vcluster, "sensitive-")

approval_required if {
	regulated
	input.action in lasting
}

approval_required if {
	regulated
	some stage in input.command.stages
	stage.dimension == "services"
}

deny contains "commits here say which ticket they are for: [ABC-123] at the beginning" if {
	regulated
	input.action == "commit"
	not regex.match(`^\[[A-Z]+-[0-9]+\] `, input.params.message)
}

deny contains "entries before seq:1000 are closed by the audit" if {
	regulated
	input.action == "rollback"
	input.params.to > 0
	input.params.to < 1000
}
