/** Tasks of server admins: create an account with a first password, reset a password. */
import { PasswordInput, type PasswordInputProps, Select, Text, TextInput } from "@mantine/core";
import { type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import type { Role } from "@/app/session";
import { FormDialog } from "@/ui/FormDialog";
import { notify } from "@/ui/notify";
import { ROLE_CHOICES, roleRights } from "./roles";

interface ResetPasswordProps {
  member: Schemas["MemberOut"];
  onClose: () => void;
}

export function ResetPassword({ member, onClose }: ResetPasswordProps) {
  return (
    <FormDialog
      onClose={onClose}
      title={`Reset the password of ${member.name}`}
      action="Reset"
      initial={{ password: "" }}
      onSubmit={async ({ password }) => {
        await server.POST("/api/members/password", { body: { user_id: member.user_id, password } });
        notify.done(`The password of ${member.name} was reset`);
      }}
    >
      {({ bind }) => (
        <>
          <Text size="sm" c="var(--quiet)">
            Send the new password over a secure channel. It is valid for one login, after which they choose
            their own. They are logged out everywhere and their API tokens are revoked.
          </Text>
          <TemporaryPassword {...bind("password")} data-autofocus />
        </>
      )}
    </FormDialog>
  );
}

export function CreateAccount({ onClose }: { onClose: () => void }) {
  const reload = useReload("/api/members");
  return (
    <FormDialog
      onClose={onClose}
      title="Create account"
      action="Create"
      initial={{ email: "", name: "", role: "editor" as Role, password: "" }}
      onSubmit={async ({ name, ...account }) => {
        await server.POST("/api/members", { body: { ...account, ...(name && { name }) } });
        void reload();
      }}
    >
      {({ values, bind }) => (
        <>
          <Text size="sm" c="var(--quiet)">
            For people without an account on this server. Send the password over a secure channel: they choose
            their own at the first login. Invite people who already have an account.
          </Text>
          <TextInput
            label="Email"
            type="email"
            required
            data-autofocus
            autoComplete="off"
            {...bind("email")}
          />
          <TextInput label="Name" {...bind("name")} />
          <Select
            label="Role"
            description={roleRights(values.role)}
            data={ROLE_CHOICES}
            allowDeselect={false}
            {...bind("role")}
          />
          <TemporaryPassword {...bind("password")} />
        </>
      )}
    </FormDialog>
  );
}

function TemporaryPassword(props: PasswordInputProps) {
  return (
    <PasswordInput
      label="Temporary password"
      description="At least 8 characters"
      required
      minLength={8}
      autoComplete="new-password"
      {...props}
    />
  );
}
