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
  return (
    <>
      <Menu.Item component={Link} href="/profile" leftSection={<IconUser size={16} aria-hidden />}>
        Profile
      </Menu.Item>
      <Menu.Item component="a" href="/docs" target="_blank" leftSection={<IconBook size={16} aria-hidden />}>
        Documentation
      </Menu.Item>
      <Menu.Item
        component="a"
        href="/api/docs"
        target="_blank"
        leftSection={<IconListDetails size={16} aria-hidden />}
      >
        API reference
      </Menu.Item>
      <Menu.Item leftSection={<IconMap2 size={16} aria-hidden />} onClick={() => showStep(user.id, 0)}>
        Tour of the app
      </Menu.Item>
      <Menu.Divider />
      <Menu.Label>Appearance</Menu.Label>
      {SCHEMES.map(({ value, label, icon: Icon }) => (
        <Menu.Item
          key={value}
          leftSection={<Icon size={16} aria-hidden />}
          rightSection={colorScheme === value ? <IconCheck size={16} aria-label="selected" /> : undefined}
          onClick={() => setColorScheme(value)}
        >
          {label}
        </Menu.Item>
      ))}
      <Menu.Divider />
      <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => void logOut()}>
        Log out
      </Menu.Item>
    </>
  );
}
