import { Menu, useMantineColorScheme } from "@mantine/core";
import {
  IconBook,
  IconCheck,
  IconDeviceDesktop,
  IconListDetails,
  IconLogout,
  IconMap2,
  IconMoon,
  IconSun,
  IconUser,
} from "@tabler/icons-react";
import { Link } from "wouter";
import { usePack } from "@/api/catalogue";
import { MenuItem } from "@/ui/MenuItem";
import { useSession } from "../session";
import { showStep } from "../tour/tour";

const SCHEMES = [
  { value: "light", label: "Light", icon: IconSun },
  { value: "dark", label: "Dark", icon: IconMoon },
  { value: "auto", label: "System", icon: IconDeviceDesktop },
] as const;

/** The items of the user menu. */
export default function UserMenuItems() {
  const { user, logOut } = useSession();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const hasDocs = usePack("reference");
  return (
    <>
      <MenuItem component={Link} href="/profile" icon={IconUser}>
        Profile
      </MenuItem>
      {hasDocs && (
        <MenuItem component="a" href="/docs" target="_blank" icon={IconBook}>
          Documentation
        </MenuItem>
      )}
      <MenuItem component="a" href="/api/docs" target="_blank" icon={IconListDetails}>
        API reference
      </MenuItem>
      <MenuItem icon={IconMap2} onClick={() => showStep(user.id, 0)}>
        Tour of the app
      </MenuItem>
      <Menu.Divider />
      <Menu.Label>Appearance</Menu.Label>
      {SCHEMES.map(({ value, label, icon: Icon }) => (
        <MenuItem
          key={value}
          icon={Icon}
          rightSection={colorScheme === value ? <IconCheck size={16} aria-label="selected" /> : undefined}
          onClick={() => setColorScheme(value)}
        >
          {label}
        </MenuItem>
      ))}
      <Menu.Divider />
      <MenuItem icon={IconLogout} onClick={() => void logOut()}>
        Log out
      </MenuItem>
    </>
  );
}
