/** `org/project`, or a project's name beside its org, or beside none: then the farm takes the token's. */
export function nameProject(of: { readonly org?: string; readonly project?: string }): {
  readonly org?: string;
  readonly project?: string;
} {
  const { org, project } = of;
  if (project === undefined) return org === undefined ? {} : { org };
  const slash = project.indexOf("/");
  if (slash >= 0) return { org: project.slice(0, slash), project: project.slice(slash + 1) };
  return org === undefined ? { project } : { org, project };
}
